"""Starting, stopping and leaving, as the user of a daemon sees it (issue 2, "The daemon")."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.support import forked
from tests.support.apps import Sleeper, containers, deploy, wait_running
from tests.support.cluster import API_PORT, PEER_PORT, PROGRAM, Cluster, Node, clean_environment
from tests.support.event_clients import basic, sse, websocket
from tests.support.leaders import NOT_YET, followers, leader, status, wait_whole
from tests.support.ledger import Writers, check
from tests.support.waiting import wait_until, wait_until_async

STOP_S = 10.0


def hivemind(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return forked.run_text([*PROGRAM, *arguments], {**clean_environment(), **(env or {})}, timeout_s=30)


class TestStopping:
    async def test_sigterm_ends_in_time_with_clients_that_follow_or_stall(
        self, three: Cluster, figure: Callable[[str], None]
    ) -> None:
        app = Sleeper("outlives")
        await trio.to_thread.run_sync(deploy, three, 1, app.body(6))
        pids = app.processes()
        stopped = (await trio.to_thread.run_sync(followers, three))[0]
        ended: list[str] = []

        async def until_closed(connect: Callable[..., object], name: str) -> None:
            try:
                async with connect(three, stopped.number) as events:  # type: ignore[attr-defined]
                    connected.append(name)
                    async for _ in events:
                        pass
            except Exception as error:
                ended.append(f"{name}: {error!r}")
            else:
                ended.append(f"{name}: its end")

        connected: list[str] = []
        with closing(_stalled_reader(three, stopped.number)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_closed, websocket, "websocket")
                nursery.start_soon(until_closed, sse, "sse")

                async def both() -> bool:
                    return len(connected) == 2

                await wait_until_async(both, 20, "the clients are connected")
                start_s = time.monotonic()
                code = await trio.to_thread.run_sync(stopped.sigterm)
                took_s = time.monotonic() - start_s
        figure(f"SIGTERM with a WebSocket, an SSE client and a stalled reader: exit {code} after {took_s:.1f} s")
        assert code == 0
        assert took_s < STOP_S
        assert len(ended) == 2
        assert app.processes() == pids
        asked = next(node for node in three.nodes if node is not stopped)
        with three.client(asked.number) as client:
            assert client.get(f"/api/nodes/{stopped.name}").json()["data"]["status"] == "restarting"
        await trio.to_thread.run_sync(stopped.start)
        await trio.to_thread.run_sync(wait_whole, three)
        await trio.to_thread.run_sync(wait_running, three, stopped.number, app.name, 6)
        assert app.processes() == pids

    async def test_writes_do_not_fail_while_the_leader_restarts(
        self, three: Cluster, figure: Callable[[str], None]
    ) -> None:
        """It gives its leadership away first: writers at the other nodes see a pause, and no error."""
        in_thread = trio.to_thread.run_sync
        chief = await in_thread(leader, three)
        others = await in_thread(followers, three)
        writers = Writers(three, "planned")
        ledger = writers.ledger

        def reached(writes: int) -> Callable[[], object]:
            async def enough() -> bool:
                return ledger.writes >= writes

            return enough

        async with writers.running(others[0].number), writers.running(others[1].number):
            await wait_until_async(reached(100), 30, "100 writes")
            start_s, before = trio.current_time(), ledger.writes
            assert await in_thread(chief.sigterm) == 0
            await wait_until_async(reached(before + 200), 30, f"200 more writes; {ledger.problems[-3:]}")
            pause_s = ledger.longest_pause_s(start_s, trio.current_time())
        figure(f"planned restart of the leader: longest pause in writes at the others {pause_s:.2f} s")
        assert ledger.problems == []
        assert ledger.violations == []
        await in_thread(chief.start)
        await in_thread(wait_whole, three)
        with three.client(chief.number, timeout_s=30) as client:
            await in_thread(check, ledger, client)


def _stalled_reader(cluster: Cluster, number: int) -> socket.socket:
    """A client that follows the events and reads nothing at all."""
    client = socket.create_connection((cluster.node(number).address, API_PORT))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET /api/stream/events?since=x.0.0 HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(cluster)}\r\n\r\n"
    client.sendall(request.encode())
    return client


class TestRefusedStarts:
    def test_a_second_daemon_on_a_data_dir(self, three: Cluster) -> None:
        node = three.node(1)
        done = hivemind("daemon", "--data-dir", str(node.data_dir), "--bind", "127.0.0.1", "--runtime", "process")
        assert done.returncode == 1
        assert f"a daemon runs on {node.data_dir} already (pid {node.pid})" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("port", [API_PORT, PEER_PORT])
    def test_a_port_in_use_is_named(self, three: Cluster, tmp_path: Path, port: int) -> None:
        """Each of the ports in turn: the other one is free."""
        node = three.node(2)
        free = {"--api-port": "24483"} if port == PEER_PORT else {"--peer-port": "27946"}
        arguments = [word for pair in free.items() for word in pair]
        data = ("--data-dir", str(tmp_path / "d"), "--runtime", "process")
        done = hivemind("daemon", "--bind", node.address, *data, *arguments)
        assert done.returncode == 1
        flag = "--api-port" if port == API_PORT else "--peer-port"
        last = done.stderr.splitlines()[-1]
        assert f"hivemind: cannot listen on {node.address}:{port} (" in last
        assert f"{flag}): address already in use" in last
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("flags", "env", "expected"),
        [
            (["--api-port", "99999"], {}, ["--api-port", "expected a port (1-65535)", "99999"]),
            ([], {"HIVEMIND_RUNTIME": "magic"}, ["HIVEMIND_RUNTIME", "expected auto, docker or process", "magic"]),
            (["--token", "hm1.x.y"], {}, ["token is set, but join is not"]),
            (["--nonsense"], {}, ["No such option", "--nonsense"]),
        ],
    )
    def test_a_wrong_setting_is_named_with_what_was_expected(
        self, tmp_path: Path, flags: list[str], env: dict[str, str], expected: list[str]
    ) -> None:
        done = hivemind("daemon", "--data-dir", str(tmp_path), *flags, env=env)
        assert done.returncode == 2
        for text in expected:
            assert text in done.stderr

    def test_a_wrong_or_unknown_setting_in_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "hivemind.yaml"
        for content, expected in {
            "colour: red\n": "unknown setting 'colour'",
            "api_port: x\n": "setting api_port: expected a port",
        }.items():
            file.write_text(content)
            done = hivemind("daemon", "--data-dir", str(tmp_path / "d"), "--config", str(file))
            assert done.returncode == 2
            assert expected in done.stderr
            assert str(file) in done.stderr


class TestLeaving:
    @pytest.fixture
    def two(self, tmp_path: Path) -> Iterator[Cluster]:
        with Cluster(data_dir=tmp_path, nodes=2) as cluster:
            yield cluster

    def test_the_only_voter_of_two_leaves_and_the_other_goes_on(self, two: Cluster) -> None:
        assert [len(status(two, number)["voters"]) for number in (1, 2)] == [1, 1]
        with two.client(1) as client:
            assert client.post("/api/volumes/create", json={"name": "before"}).status_code == 201
        assert two.cli(1, "leave", "--yes").returncode == 0
        assert two.node(1).wait(60) == 0, two.node(1).log_tail()
        wait_gone(two, 2, two.node(1))
        with two.client(2, timeout_s=30) as client:
            assert client.post("/api/volumes/create", json={"name": "after"}).status_code == 201
            volumes = client.get("/api/volumes").json()["data"]["volumes"]
            assert [volume["name"] for volume in volumes] == ["after", "before"]
        assert status(two, 2)["voters"] == [two.node(2).name]

    @pytest.fixture
    def four(self, tmp_path: Path) -> Iterator[Cluster]:
        with Cluster(data_dir=tmp_path, nodes=4) as cluster:
            yield cluster

    def test_a_follower_and_then_the_leader_leave(self, four: Cluster, figure: Callable[[str], None]) -> None:
        wait_until(lambda: len(status(four, 1)["voters"]) == 3, 60, "three of four vote", errors=NOT_YET)
        app = Sleeper("moves-on")
        deploy(four, 1, app.body(8))
        for who in ("follower", "leader"):
            running = [node.number for node in four.nodes if node.is_running()]
            chief = leader(four, running)
            gone = chief if who == "leader" else next(n for n in four.nodes if n.is_running() and n is not chief)
            others = [number for number in running if number != gone.number]
            start_s = time.monotonic()
            done = four.cli(gone.number, "leave", "--yes")
            assert done.returncode == 0, done.stderr
            assert gone.wait(60) == 0, gone.log_tail()
            figure(f"hivemind leave of the {who}: gone after {time.monotonic() - start_s:.1f} s")
            for number in others:
                wait_gone(four, number, gone)
                wait_running(four, number, app.name, 8)
                assert all(item["node_id"] != gone.name for item in containers(four, number, app.name))
            wait_until(lambda: len(app.processes()) == 8, 20, "nothing of it runs on")
            voters = 3 if len(others) == 3 else 1
            wait_voter_count(four, others, voters)
            with four.client(others[0]) as client:
                assert client.post("/api/volumes/create", json={"name": f"after-{who}"}).status_code == 201
            assert not (gone.data_dir / "identity").exists()


def wait_gone(cluster: Cluster, number: int, gone: Node) -> None:
    wait_until(lambda: gone.name not in _node_ids(cluster, number), 20, f"{gone.name} is gone", errors=NOT_YET)


def wait_voter_count(cluster: Cluster, numbers: list[int], count: int) -> None:
    wait_until(lambda: _voters(cluster, numbers) == {count}, 60, f"{count} voters", errors=NOT_YET)


def _node_ids(cluster: Cluster, number: int) -> set[str]:
    with cluster.client(number) as client:
        return {node["id"] for node in client.get("/api/nodes").json()["data"]["nodes"]}


def _voters(cluster: Cluster, numbers: list[int]) -> set[int]:
    return {len(status(cluster, number)["voters"]) for number in numbers}
