"""What only the embedded engine does: its shims, and tasks that outlive their daemon."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import trio

from runtime.engine.base import ContainerPort, Mount
from runtime.engine.errors import InvalidSpec
from runtime.engine.process.engine import ProcessEngine
from runtime.engine.process.identity import ProcessIdentity, wait_ended
from runtime.engine.process.task_files import TaskFiles, TaskStart

pytestmark = pytest.mark.parametrize("bench", ["process"], indirect=True)

_DAEMON = """
import os, signal, sys, trio
from pathlib import Path
from runtime.engine.base import ContainerSpec
from runtime.engine.process.engine import ProcessEngine

async def main():
    engine = ProcessEngine(Path(sys.argv[1]), address="127.0.0.1")
    script = "echo one; sleep 1; echo two; exit 21"
    labels = {"hivemind.test": sys.argv[2]}
    engine_id = await engine.create(ContainerSpec(name="t", image="x", args=("sh", "-c", script), labels=labels))
    await engine.start(engine_id)
    os.kill(os.getpid(), signal.SIGKILL)

trio.run(main)
"""


def start_of(tmp_path: Path, engine_id: str) -> TaskStart:
    start = TaskFiles.load(tmp_path / "engine" / "tasks" / engine_id).start
    assert start is not None
    return start


async def test_a_task_outlives_a_killed_daemon(bench: Any, tmp_path: Path) -> None:
    """The daemon is killed with SIGKILL right after the start; output and exit code are all there."""
    killed = await trio.run_process(
        [sys.executable, "-c", _DAEMON, str(tmp_path / "engine"), bench.labels["hivemind.test"]], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    adopter = bench.reopen()
    async with adopter.events(bench.labels) as events:
        (state,) = await adopter.list(bench.labels)
        assert state.status == "running"
        with trio.fail_after(20):
            assert (await anext(events)).exit_code == 21
    async with adopter.logs(state.engine_id) as lines:
        assert [line.text async for line in lines] == [b"one", b"two"]


async def test_a_task_dies_with_its_shim(bench: Any, tmp_path: Path) -> None:
    """Nothing runs unsupervised: the kernel kills the task of a killed shim, and the engine says dead."""
    engine_id = await bench.engine.create(bench.spec(args=("sleep", "1000")))
    await bench.engine.start(engine_id)
    start = start_of(tmp_path, engine_id)
    async with bench.engine.events(bench.labels) as events:
        os.kill(start.shim.pid, signal.SIGKILL)
        with trio.fail_after(20):
            event = await anext(events)
    assert (event.action, event.exit_code) == ("die", 137)
    state = await bench.engine.inspect(engine_id)
    assert (state.status, state.exit_code) == ("dead", 137)
    with trio.fail_after(20):
        await wait_ended(start.main)
    await bench.engine.start(engine_id)
    assert (await bench.engine.inspect(engine_id)).status == "running"


async def test_what_a_task_leaves_behind_ends_with_it(bench: Any) -> None:
    """A daemonised grandchild, in a session of its own, is not left running."""
    spec = bench.spec("setsid sleep 1000 & echo $!; sleep 0.2; exit 0")
    async with bench.engine.events(bench.labels) as events:
        engine_id = await bench.engine.create(spec)
        await bench.engine.start(engine_id)
        with trio.fail_after(20):
            async for event in events:
                if event.action == "die":
                    break
    async with bench.engine.logs(engine_id) as lines:
        pid = int((await anext(lines)).text)
    assert not psutil.pid_exists(pid)


@pytest.fixture
def bystander() -> Iterator[tuple[subprocess.Popen[bytes], ProcessIdentity]]:
    """A process that is none of the engine's."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        yield process, ProcessIdentity(process.pid, int(stat[19]), boot_id)
        process.kill()


async def test_a_reused_pid_is_not_mistaken(bench: Any, tmp_path: Path, bystander: Any) -> None:
    """The file names a pid that is alive, but another process has it: the task is dead, and is not signalled."""
    process, actual = bystander
    assert actual.alive()
    engine_id = await bench.engine.create(bench.spec("exit 0"))
    task = TaskFiles.load(tmp_path / "engine" / "tasks" / engine_id)
    stale = ProcessIdentity(actual.pid, actual.start_ticks - 1, actual.boot_id)
    other_boot = ProcessIdentity(actual.pid, actual.start_ticks, "another")
    for identity in (stale, other_boot):
        start = {"shim": identity, "main": identity, "started_at_s": 1.0}
        (task.folder / "shim.json").write_bytes(msgspec.json.encode(start))
        assert (await bench.engine.inspect(engine_id)).status == "dead"
        await bench.engine.stop(engine_id)
        await wait_ended(identity)
    assert process.poll() is None


async def test_ports_in_the_environment(bench: Any, loopback: str) -> None:
    ports = (ContainerPort(container_port=80), ContainerPort(container_port=53, protocol="udp"))
    engine_id = await bench.engine.create(
        bench.spec("echo $PORT $HIVEMIND_PORT_80 $HIVEMIND_PORT_53 $HIVEMIND_ADDRESS; sleep 1000", ports=ports)
    )
    await bench.engine.start(engine_id)
    state = await bench.engine.inspect(engine_id)
    async with bench.engine.logs(engine_id, follow=True) as lines:
        words = (await anext(lines)).text.decode().split()
    assert words == [str(state.port_map[80]), str(state.port_map[80]), str(state.port_map[53]), loopback]
    assert state.address == loopback
    await bench.engine.stop(engine_id)
    with socket.create_server((loopback, state.port_map[80])):
        await bench.engine.start(engine_id)
        again = await bench.engine.inspect(engine_id)
    assert again.port_map[80] != state.port_map[80]
    assert again.port_map[53] == state.port_map[53]


async def test_whoami(bench: Any) -> None:
    spec = bench.spec(image="hivemind/whoami:1", args=None, ports=(ContainerPort(container_port=80),))
    engine_id = await bench.engine.create(spec)
    await bench.engine.start(engine_id)
    async with bench.engine.logs(engine_id, follow=True) as lines:
        assert b"listening" in (await anext(lines)).text
    state = await bench.engine.inspect(engine_id)
    port = state.port_map[80]

    async def get(path: str) -> bytes:
        stream = await trio.open_tcp_stream(state.address, port)
        async with stream:
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            await stream.send_all(request.encode())
            return b"".join([chunk async for chunk in stream])

    answer = (await get("/some/path?x=1")).decode()
    for line in (f"name: {spec.name}", f"hostname: {spec.name}", f"port: {port}", "path: /some/path?x=1"):
        assert f"\n{line}\n" in answer
    assert (await get("/health")).endswith(b"\r\n\r\nok\n")
    await bench.engine.stop(engine_id)
    assert (await bench.engine.inspect(engine_id)).exit_code == 0


async def test_the_daemons_environment_does_not_leak(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEMIND_JOIN_TOKEN", "secret")
    engine_id = await bench.engine.create(bench.spec("env; echo end; sleep 1000"))
    await bench.engine.start(engine_id)
    async with bench.engine.logs(engine_id, follow=True) as lines:
        async for line in lines:
            assert b"secret" not in line.text
            if line.text == b"end":
                break


async def test_secrets_in_files_are_private(bench: Any, tmp_path: Path) -> None:
    engine_id = await bench.engine.create(bench.spec(env={"PASSWORD": "secret"}))
    await bench.engine.start(engine_id)
    folder = TaskFiles.load(tmp_path / "engine" / "tasks" / engine_id).folder
    modes = {name: oct((folder / name).stat().st_mode & 0o777) for name in ("spec.json", "run.json", "log")}
    assert modes == {"spec.json": "0o600", "run.json": "0o600", "log": "0o700"}


async def test_process_count_limit(bench: Any) -> None:
    spec = bench.spec("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait", pids_limit=5)
    async with bench.engine.events(bench.labels) as events:
        engine_id = await bench.engine.create(spec)
        await bench.engine.start(engine_id)
        with trio.fail_after(20):
            async for event in events:
                if event.action == "die":
                    break
    state = await bench.engine.inspect(engine_id)
    assert (state.exit_code, state.oom_killed, state.error) == (137, False, "more processes than its limit")


@pytest.mark.parametrize(
    "fields",
    [
        {"args": None},
        {"mounts": (Mount(kind="volume", source="v", target="/../../etc"),)},
        {"mounts": (Mount(kind="volume", source="v", target="/"),)},
        {"stop_signal": "SIGNOTHING"},
        {"user": "no-such-user"},
    ],
)
async def test_specs_that_are_refused(bench: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec):
        await bench.engine.create(bench.spec(**fields))
    assert await bench.engine.list(bench.labels) == []


@pytest.mark.parametrize("fields", [{"mounts": (Mount(kind="bind", source="/no/such", target="/x"),)}])
async def test_specs_that_are_refused_at_start(bench: Any, fields: dict[str, Any]) -> None:
    engine_id = await bench.engine.create(bench.spec(**fields))
    with pytest.raises(InvalidSpec, match="/no/such"):
        await bench.engine.start(engine_id)


async def test_rubbish_in_the_data_dir_is_left_alone(bench: Any, tmp_path: Path) -> None:
    """A crash while a task was created, or somebody's own file: the engine starts without it."""
    kept = await bench.engine.create(bench.spec())
    tasks = tmp_path / "engine" / "tasks"
    (tasks / ".half").mkdir()
    (tasks / "foreign").mkdir()
    (tasks / "broken").mkdir()
    (tasks / "broken" / "spec.json").write_text("{")
    (tasks / "file").write_text("")
    engine = ProcessEngine(tmp_path / "engine", address="127.0.0.1")
    assert [state.engine_id for state in await engine.list({})] == [kept]
