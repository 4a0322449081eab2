"""The command line against real daemons: exit codes, output, the kept token (issue 2, "The daemon")."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import stat
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import forked
from tests.support.addresses import free_addresses
from tests.support.apps import containers, delete, deploy, wait_running
from tests.support.cluster import PROGRAM, Cluster, clean_environment
from tests.support.leaders import catch_up


def hivemind(cluster: Cluster, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a user without anything but a home directory."""
    env = {**clean_environment(), "HOME": str(home), "HIVEMIND_SERVER": cluster.node(2).url, **environment}
    return forked.run_text([*PROGRAM, *arguments], env)


Asked = tuple[list[str], dict[str, str]]


@pytest.fixture(scope="module")
def asked(three: Cluster) -> Iterator[Asked]:
    """A command line at a node that does not have the container, and its environment."""
    deploy(three, 1, {"name": "box", "image": "x", "command": ["sleep", "600"], "replicas": 1})
    catch_up(three)
    (container,) = containers(three, 1, "box")
    other = next(node for node in three.nodes if node.name != container["node_id"])
    env = {
        **clean_environment(),
        "HIVEMIND_SERVER": other.url,
        "HIVEMIND_USERNAME": "admin",
        "HIVEMIND_PASSWORD": three.admin_password,
    }
    yield [*PROGRAM, "container", "exec"], {**env, "CONTAINER": container["id"]}
    delete(three, 1, "box")


def run_in(asked: Asked, *command: str, stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
    argv, env = asked
    flags = ["-i"] if stdin is not None else []
    done = forked.run([*argv, *flags, env["CONTAINER"], *command], env, stdin or b"")
    return done.returncode, done.stdout, done.stderr


class TestExitCodes:
    def test_3_connection(self, three: Cluster, tmp_path: Path) -> None:
        nobody = free_addresses(1, (4483,))[0]
        done = hivemind(three, tmp_path, "node", "ls", "--server", f"http://{nobody}:4483")
        assert done.returncode == 3
        assert nobody in done.stderr
        assert "Traceback" not in done.stderr

    def test_4_authentication(self, three: Cluster, tmp_path: Path) -> None:
        done = hivemind(three, tmp_path, "node", "ls")
        assert done.returncode == 4
        assert "hivemind login" in done.stderr
        done = hivemind(three, tmp_path, "login", "--password", "wrong")
        assert done.returncode == 4
        assert "wrong" in done.stderr
        assert not (tmp_path / ".hivemind/token").exists()

    def test_5_permission(self, three: Cluster, tmp_path: Path) -> None:
        with three.client(1) as client:
            answer = client.post("/api/auth/api-keys", json={"name": "look", "role": "viewer"})
            key = answer.json()["data"]["key"]
        catch_up(three)
        done = hivemind(three, tmp_path, "app", "deploy", "--name", "x", "--image", "y", "--detach", HIVEMIND_TOKEN=key)
        assert done.returncode == 5
        assert "operator" in done.stderr
        assert hivemind(three, tmp_path, "node", "ls", HIVEMIND_TOKEN=key).returncode == 0

    def test_6_not_found_7_conflict_2_usage_1_general(self, three: Cluster) -> None:
        assert three.cli(1, "app", "info", "nothing").returncode == 6
        assert three.cli(1, "node", "info", "nothing").returncode == 6
        deploy = ("app", "deploy", "--name", "twice", "--image", "sleeper", "--detach", "--replicas", "0")
        assert three.cli(1, *deploy).returncode == 0
        again = three.cli(3, *deploy)
        assert again.returncode == 7
        assert "exists already" in again.stderr
        assert three.cli(1, "app", "scale", "twice", "many").returncode == 2
        assert three.cli(1, "app", "deploy", "--name", "x").returncode == 2
        assert three.cli(1, "nonsense").returncode == 2
        bad = three.cli(1, "app", "deploy", "--name", "Bad Name", "--image", "x")
        assert bad.returncode == 1
        assert "name" in bad.stderr
        assert three.cli(1, "app", "delete", "twice").returncode == 0


class TestSession:
    def test_login_keeps_a_token_that_only_the_user_reads_and_logout_ends_it(
        self, three: Cluster, tmp_path: Path
    ) -> None:
        done = hivemind(three, tmp_path, "login", "--username", "admin", "--password", three.admin_password)
        assert done.returncode == 0, done.stderr
        kept = tmp_path / ".hivemind/token"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        token = kept.read_text().strip()
        assert token not in done.stdout
        assert hivemind(three, tmp_path, "node", "ls").returncode == 0
        other = hivemind(three, tmp_path, "app", "ls", HIVEMIND_SERVER=three.node(3).url)
        assert other.returncode == 0
        assert hivemind(three, tmp_path, "logout").returncode == 0
        assert not kept.exists()
        assert hivemind(three, tmp_path, "node", "ls", "--token", token).returncode == 4


class TestOutput:
    @pytest.mark.parametrize(
        "command",
        ["cluster status", "node ls", "node info {node}"],
    )
    def test_json_yaml_and_a_table(self, three: Cluster, command: str) -> None:
        words = command.format(node=three.node(1).name).split()
        as_json = three.cli(2, *words, "--output", "json")
        as_yaml = three.cli(2, *words, "-o", "yaml")
        table = three.cli(2, *words)
        assert [done.returncode for done in (as_json, as_yaml, table)] == [0, 0, 0]
        assert _shape(json.loads(as_json.stdout)) == _shape(yaml.safe_load(as_yaml.stdout))
        assert table.stdout.strip()

    def test_the_join_token_and_nothing_else(self, three: Cluster) -> None:
        done = three.cli(3, "cluster", "token")
        assert done.returncode == 0
        assert done.stdout.startswith("hm1.")
        assert done.stdout.count("\n") == 1
        assert done.stderr == ""

    def test_version(self, three: Cluster) -> None:
        assert three.cli(1, "version").stdout.count(".") == 2


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__ if not isinstance(value, int | float) else "number"


class TestWait:
    def test_0_when_all_are_ready(self, three: Cluster) -> None:
        assert three.cli(2, "wait", "--nodes", "3", "--timeout", "20").returncode == 0

    def test_1_with_what_is_missing(self, three: Cluster, tmp_path: Path) -> None:
        done = three.cli(2, "wait", "--nodes", "4", "--timeout", "1")
        assert done.returncode == 1
        assert "3 of 4 nodes are ready" in done.stderr
        nobody = free_addresses(1, (4483,))[0]
        done = hivemind(three, tmp_path, "wait", "--timeout", "1", "--server", f"http://{nobody}:4483")
        assert done.returncode == 1
        assert nobody in done.stderr


class TestApps:
    def test_the_life_of_an_app(self, three: Cluster, tmp_path: Path) -> None:
        """deploy waits for running replicas; logs, scale, restart, events, delete."""
        script = "echo hello from this replica; sleep 1000"
        spec = tmp_path / "app.yaml"
        spec.write_text(yaml.safe_dump({"image": "sh", "command": ["sh", "-c", script]}))
        done = three.cli(2, "app", "deploy", "--file", str(spec), "--name", "life", "--replicas", "3")
        assert done.returncode == 0, done.stderr
        assert len([c for c in containers(three, 2, "life") if c["status"] == "running"]) == 3
        listed = json.loads(three.cli(3, "app", "ls", "-o", "json").stdout)
        assert [(app["name"], app["replicas"]) for app in listed] == [("life", 3)]
        lines = three.cli(1, "app", "logs", "life").stdout.splitlines()
        assert sum("hello from this replica" in line for line in lines) == 3
        assert three.cli(1, "app", "scale", "life", "5").returncode == 0
        assert len(json.loads(three.cli(1, "app", "info", "life", "-o", "json").stdout)["containers"]) == 5
        before = {item["id"] for item in containers(three, 1, "life")}
        assert three.cli(3, "app", "restart", "life").returncode == 0
        done = three.cli(3, "events", "--types", "container_created", "--resources", "app/life", "-o", "json")
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(events) >= 5
        assert {event["type"] for event in events} == {"container_created"}
        since = three.cli(1, "events", "--since", events[-1]["id"], "-o", "json")
        assert events[-1]["id"] not in since.stdout
        wait_running(three, 1, "life", 5)
        assert len(before) == 5
        assert three.cli(2, "app", "delete", "life").returncode == 0
        assert three.cli(2, "app", "info", "life").returncode == 6

    def test_a_deploy_that_cannot_be_placed_says_why_and_exits_1(self, three: Cluster) -> None:
        command = ("app", "deploy", "--name", "huge", "--image", "x", "--cpu", "500", "--timeout", "3")
        done = three.cli(1, *command)
        assert done.returncode == 1
        assert "huge is not complete after 3 s" in done.stderr
        assert three.cli(1, "app", "delete", "huge").returncode == 0

    def test_a_deploy_waits_for_health_and_an_update_that_no_node_holds_fails_at_once(
        self, three: Cluster, tmp_path: Path
    ) -> None:
        healthy, said = tmp_path / "healthy", f"sleep 1.5; touch {tmp_path}/healthy; exec sleep 600"
        check = ["--health-command", f"test -e {healthy}", "--health-interval", "250ms", "--health-start-period", "30s"]
        done = three.cli(2, "app", "deploy", "--name", "slow", "--image", "x", *check, "--", "sh", "-c", said)
        assert done.returncode == 0, done.stderr
        assert healthy.exists()
        (before,) = containers(three, 2, "slow")
        assert before["health"]["status"] == "healthy"

        # Its progress deadline is 10 minutes; `cli` gives up after one.
        done = three.cli(2, "app", "update", "slow", "--cpu", "500")
        assert done.returncode == 1
        assert "the others never will: no node fits: 3 nodes lack cpu (need 500 cores)" in done.stderr
        assert [item["id"] for item in containers(three, 2, "slow")] == [before["id"]]
        delete(three, 2, "slow")


class TestContainerExec:
    def test_output_and_exit_code_are_the_commands(self, asked: Asked) -> None:
        assert run_in(asked, "sh", "-c", "echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")
        # Without -i it reads nothing, and does not wait for anything either.
        assert run_in(asked, "cat") == (0, b"", b"")

    def test_input_of_any_bytes_goes_through_to_its_end(self, asked: Asked) -> None:
        data = bytes(range(256)) * 4096
        code, out, _ = run_in(asked, "cat", stdin=data)
        assert (code, out == data) == (0, True)

    def test_what_cannot_be_is_said_with_the_codes_of_the_cli(self, asked: Asked) -> None:
        argv, env = asked
        # The first server that answers is asked.
        servers = f"http://127.0.0.1:1,{env['HIVEMIND_SERVER']}"
        nobody = run_in((argv, {**env, "HIVEMIND_SERVER": servers, "CONTAINER": "nobody.1.0"}), "true")
        assert (nobody[0], b"there is no container" in nobody[2]) == (6, True)
        no_terminal = [*argv, "-t", env["CONTAINER"]]
        flagged = subprocess.run(no_terminal, env=env, stdin=subprocess.DEVNULL, capture_output=True)
        assert (flagged.returncode, b"--tty needs a terminal" in flagged.stderr) == (2, True)

    def test_a_terminal_with_its_size_its_keys_and_its_exit_code(self, asked: Asked) -> None:
        argv, env = asked
        master, slave = pty.openpty()
        resize(slave, 33, 101)
        before = termios.tcgetattr(slave)
        running = subprocess.Popen(
            [*argv, "-it", env["CONTAINER"], "sh"],
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        try:
            os.write(master, b"stty size; echo ready-$((1+1))\n")
            assert "33 101" in read_until(master, "ready-2")
            resize(slave, 44, 55)
            os.kill(running.pid, 28)
            wait_for_size(master, "44 55")
            # Ctrl-C is the command's, not ours.
            os.write(master, b"sleep 100\n")
            time.sleep(0.2)
            os.write(master, b"\x03")
            os.write(master, b"echo still-$((2+2)); exit 5\n")
            read_until(master, "still-4")
            assert running.wait(30) == 5
            assert termios.tcgetattr(slave) == before
        finally:
            running.kill()
            running.wait()
            os.close(master)
            os.close(slave)


def resize(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(fd: int, text: str, timeout_s: float = 30.0) -> str:
    seen, deadline_s = "", time.monotonic() + timeout_s
    os.set_blocking(fd, False)
    while text not in seen:
        assert time.monotonic() < deadline_s, seen
        try:
            seen += os.read(fd, 4096).decode(errors="replace")
        except BlockingIOError:
            time.sleep(0.02)
    return seen


def wait_for_size(fd: int, size: str) -> None:
    """The new size reaches the command a moment after the signal."""
    for number in range(50):
        os.write(fd, f"stty size; echo asked-$(({number}+0))-\n".encode())
        if size in read_until(fd, f"asked-{number}-"):
            return
        time.sleep(0.1)
    raise AssertionError(f"the command's terminal never had size {size}")
