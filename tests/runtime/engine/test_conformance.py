"""What every engine does alike: the contract of `runtime.engine.base.Engine`."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from runtime.engine.base import (
    ContainerPort,
    ContainerState,
    Engine,
    EngineEvent,
    LogLine,
    LogRotation,
    Mount,
)
from runtime.engine.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    ContainerRunning,
    EngineError,
    InvalidSpec,
    NameConflict,
    VolumeInUse,
    VolumeNotFound,
)

_PATIENCE_S = 20


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    with trio.fail_after(60):
        yield


async def run_to_end(engine: Engine, spec: Any) -> ContainerState:
    async with engine.events(spec.labels) as events:
        engine_id = await engine.create(spec)
        await engine.start(engine_id)
        await next_action(events, "die")
    return await engine.inspect(engine_id)


async def next_action(events: AsyncIterator[EngineEvent], action: str) -> EngineEvent:
    with trio.fail_after(_PATIENCE_S):
        async for event in events:
            if event.action == action:
                return event
    raise AssertionError("the events ended")


async def read_logs(engine: Engine, engine_id: str, **options: Any) -> list[LogLine]:
    async with engine.logs(engine_id, **options) as lines:
        return [line async for line in lines]


async def test_info_tells_of_the_machine(bench: Any) -> None:
    info = await bench.engine.info()
    assert info.name == bench.engine.name
    assert info.cpu_cores >= 1
    assert info.memory_bytes > 100 * 1024 * 1024


async def test_life_of_a_container(bench: Any) -> None:
    engine, spec = bench.engine, bench.spec()
    await engine.ensure_image(spec.image)
    engine_id = await engine.create(spec)
    created = await engine.inspect(engine_id)
    assert (created.status, created.exit_code, created.pid, created.address) == ("created", None, None, None)
    assert (created.name, created.image, created.labels) == (spec.name, spec.image, spec.labels)

    await engine.start(engine_id)
    running = await engine.inspect(engine_id)
    assert running.status == "running"
    assert running.pid
    assert running.started_at_s >= created.created_at_s
    await engine.start(engine_id)
    assert (await engine.inspect(engine_id)).pid == running.pid
    assert (await engine.inspect(spec.name)).engine_id == engine_id

    await engine.stop(engine_id)
    stopped = await engine.inspect(engine_id)
    assert stopped.status == "exited"
    assert stopped.finished_at_s >= running.started_at_s
    await engine.stop(engine_id)

    await engine.remove(engine_id)
    with pytest.raises(ContainerNotFound):
        await engine.inspect(engine_id)


@pytest.mark.parametrize("code", [0, 1, 42])
async def test_exit_code(bench: Any, code: int) -> None:
    state = await run_to_end(bench.engine, bench.spec(f"exit {code}"))
    assert (state.status, state.exit_code, state.oom_killed) == ("exited", code, False)


async def test_stop_lets_it_clean_up(bench: Any) -> None:
    spec = bench.spec("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done", stop_grace_s=15.0)
    engine_id = await bench.engine.create(spec)
    await bench.engine.start(engine_id)
    async with bench.engine.logs(engine_id, follow=True) as lines:
        assert (await anext(lines)).text == b"ready"
    await bench.engine.stop(engine_id)
    assert (await bench.engine.inspect(engine_id)).exit_code == 5
    lines = await read_logs(bench.engine, engine_id)
    assert [line.text for line in lines if line.stream == "stdout"] == [b"ready", b"bye"]


async def test_stop_with_another_signal(bench: Any) -> None:
    spec = bench.spec("trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done")
    engine_id = await bench.engine.create(spec)
    await bench.engine.start(engine_id)
    async with bench.engine.logs(engine_id, follow=True) as lines:
        await anext(lines)
    await bench.engine.stop(engine_id, signal="SIGUSR1", grace_s=15)
    assert (await bench.engine.inspect(engine_id)).exit_code == 6


async def test_stop_kills_after_the_grace(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec("trap '' TERM; echo deaf; while :; do sleep 0.05; done"))
    await bench.engine.start(engine_id)
    async with bench.engine.logs(engine_id, follow=True) as lines:
        await anext(lines)
    started_s = trio.current_time()
    await bench.engine.stop(engine_id, grace_s=1)
    assert 0.5 < trio.current_time() - started_s < 10
    assert (await bench.engine.inspect(engine_id)).exit_code == 137


async def test_kill(bench: Any) -> None:
    async with bench.engine.events(bench.labels) as events:
        engine_id = await bench.engine.create(bench.spec())
        await bench.engine.start(engine_id)
        await bench.engine.kill(engine_id)
        assert (await next_action(events, "die")).exit_code == 137
    with pytest.raises(ContainerNotRunning):
        await bench.engine.kill(engine_id)


async def test_a_stopped_one_starts_again(bench: Any) -> None:
    engine_id = (await run_to_end(bench.engine, bench.spec("echo once; exit 3"))).engine_id
    async with bench.engine.events(bench.labels) as events:
        await bench.engine.start(engine_id)
        assert (await next_action(events, "die")).exit_code == 3
    assert [line.text for line in await read_logs(bench.engine, engine_id)] == [b"once", b"once"]


async def test_remove_of_a_running_one_wants_force(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec())
    await bench.engine.start(engine_id)
    with pytest.raises(ContainerRunning):
        await bench.engine.remove(engine_id)
    await bench.engine.remove(engine_id, force=True)
    with pytest.raises(ContainerNotFound):
        await bench.engine.remove(engine_id, force=True)


async def test_logs_tail_since_until(bench: Any) -> None:
    script = "echo one; echo two >&2; sleep 0.5; echo three; printf four"
    engine_id = (await run_to_end(bench.engine, bench.spec(script))).engine_id
    lines = await read_logs(bench.engine, engine_id)
    assert {(line.stream, line.text) for line in lines} == {
        ("stdout", b"one"),
        ("stderr", b"two"),
        ("stdout", b"three"),
        ("stdout", b"four"),
    }
    assert [line.text for line in await read_logs(bench.engine, engine_id, tail=2)] == [b"three", b"four"]
    assert await read_logs(bench.engine, engine_id, tail=0) == []
    middle_s = lines[2].timestamp_s - 0.2
    later = await read_logs(bench.engine, engine_id, since_s=middle_s)
    assert [line.text for line in later] == [b"three", b"four"]
    sooner = await read_logs(bench.engine, engine_id, until_s=middle_s)
    assert {line.text for line in sooner} == {b"one", b"two"}


async def test_logs_follow_until_the_end(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec("for i in 1 2 3; do echo $i; sleep 0.2; done"))
    await bench.engine.start(engine_id)
    with trio.fail_after(_PATIENCE_S):
        lines = await read_logs(bench.engine, engine_id, follow=True)
    assert [line.text for line in lines] == [b"1", b"2", b"3"]


async def test_logs_rotate(bench: Any) -> None:
    rotation = LogRotation(max_bytes=20_000, max_files=2)
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    state = await run_to_end(bench.engine, bench.spec(script, log_rotation=rotation))
    lines = await read_logs(bench.engine, state.engine_id)
    assert lines[-1].text == b"line 2999"
    assert 100 < len(lines) < 2900


async def test_stats(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec("while :; do :; done", memory_limit_bytes=64 * 1024 * 1024))
    with pytest.raises(ContainerNotRunning):
        await bench.engine.stats(engine_id)
    await bench.engine.start(engine_id)
    stats = await bench.engine.stats(engine_id)
    assert stats.cpu_percent > 5
    assert 0 < stats.memory_bytes < 64 * 1024 * 1024
    assert stats.memory_limit_bytes == 64 * 1024 * 1024
    first = await bench.engine.cpu_time(engine_id)
    await trio.sleep(0.3)
    second = await bench.engine.cpu_time(engine_id)
    assert second.at_s - first.at_s >= 0.25
    assert 0 < second.cpu_s - first.cpu_s <= 2 * (second.at_s - first.at_s)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make control groups")
async def test_cpu_limit(bench: Any) -> None:
    spec = bench.spec("while :; do :; done & while :; do :; done", cpu_limit_cores=0.2)
    engine_id = await bench.engine.create(spec)
    await bench.engine.start(engine_id)
    assert (await bench.engine.stats(engine_id)).cpu_percent < 60


async def test_exec(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec(env={"COLOUR": "blue"}))
    with pytest.raises(ContainerNotRunning):
        await bench.engine.exec(engine_id, ["true"], timeout_s=10)
    await bench.engine.start(engine_id)
    script = "echo $COLOUR $SHAPE; echo oops >&2; exit 3"
    result = await bench.engine.exec(engine_id, ["sh", "-c", script], timeout_s=10, env={"SHAPE": "round"})
    assert result.exit_code == 3
    assert sorted(result.output.splitlines()) == [b"blue round", b"oops"]
    many = await bench.engine.exec(engine_id, ["sh", "-c", "yes | head -c 1000000"], timeout_s=20)
    assert (many.exit_code, len(many.output)) == (0, 64 * 1024)
    assert (await bench.engine.exec(engine_id, ["no-such-program"], timeout_s=10)).exit_code in (126, 127)
    with pytest.raises(TimeoutError):
        await bench.engine.exec(engine_id, ["sleep", "100"], timeout_s=0.3)


async def test_exec_stream(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec())
    await bench.engine.start(engine_id)
    async with bench.engine.exec_stream(engine_id, ["sh", "-c", "cat; echo done >&2; exit 4"]) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == ("stdout", b"hello")
        assert await stream.exit_code() is None
        await stream.send_eof()
        assert await stream.receive() == ("stderr", b"done\n")
        assert await stream.receive() == ("stdout", b"")
        assert await stream.exit_code() == 4


async def test_exec_stream_with_a_terminal(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec())
    await bench.engine.start(engine_id)
    output = b""
    async with bench.engine.exec_stream(engine_id, ["sh", "-c", "read x; stty size; exit 7"], tty=True) as stream:
        await stream.resize(columns=100, rows=40)
        await stream.send(b"\n")
        while data := (await stream.receive())[1]:
            output += data
        assert await stream.exit_code() == 7
    assert b"40 100" in output


async def test_streams_can_be_cancelled(bench: Any) -> None:
    """In the middle of waiting, as at a daemon's shutdown; warnings about what is left behind are errors here."""
    engine_id = await bench.engine.create(bench.spec())
    await bench.engine.start(engine_id)

    async def follow() -> None:
        await read_logs(bench.engine, engine_id, follow=True)

    async def subscribe() -> None:
        async with bench.engine.events(bench.labels) as events:
            await next_action(events, "never")

    async def attend() -> None:
        async with bench.engine.exec_stream(engine_id, ["cat"]) as stream:
            await stream.receive()

    with trio.move_on_after(0.5) as scope:
        async with trio.open_nursery() as nursery:
            for wait in (follow, subscribe, attend):
                nursery.start_soon(wait)
    assert scope.cancelled_caught
    assert (await bench.engine.inspect(engine_id)).status == "running"


async def test_list_by_labels(bench: Any) -> None:
    red = await bench.engine.create(bench.spec(labels={**bench.labels, "colour": "red"}))
    blue = await bench.engine.create(bench.spec(labels={**bench.labels, "colour": "blue"}))
    await bench.engine.start(blue)

    async def ids(**labels: str) -> set[str]:
        return {state.engine_id for state in await bench.engine.list({**bench.labels, **labels})}

    assert await ids() == {red, blue}
    assert await ids(colour="red") == {red}
    assert await ids(colour="green") == set()


async def test_a_listing_tells_of_what_has_changed_since_it_was_seen(bench: Any) -> None:
    ids = [await bench.engine.create(bench.spec()) for _ in range(4)]
    for engine_id in ids[:2]:
        await bench.engine.start(engine_id)
    seen = await bench.engine.list(bench.labels)
    await bench.engine.stop(ids[0], grace_s=0)
    await bench.engine.start(ids[2])
    states = {state.engine_id: state for state in await bench.engine.list(bench.labels, seen=seen)}
    assert [states[engine_id].status for engine_id in ids] == ["exited", "running", "running", "created"]
    assert states[ids[1]] == next(state for state in seen if state.engine_id == ids[1])
    assert states == {engine_id: await bench.engine.inspect(engine_id) for engine_id in ids}


async def test_events_of_a_life(bench: Any) -> None:
    async with bench.engine.events(bench.labels) as events:
        with trio.fail_after(_PATIENCE_S):
            other = await bench.engine.create(bench.spec(labels={"hivemind.other": bench.labels["hivemind.test"]}))
            await bench.engine.remove(other)
            engine_id = await bench.engine.create(bench.spec("exit 9"))
            await bench.engine.start(engine_id)
            seen = [await next_action(events, action) for action in ("create", "start", "die")]
            await bench.engine.remove(engine_id)
            seen.append(await next_action(events, "destroy"))
    assert {event.engine_id for event in seen} == {engine_id}
    assert seen[2].exit_code == 9
    assert bench.labels.items() <= seen[2].labels.items()
    assert abs(seen[0].timestamp_s - seen[3].timestamp_s) < _PATIENCE_S


async def test_a_name_is_taken_once(bench: Any) -> None:
    spec = bench.spec()
    await bench.engine.create(spec)
    with pytest.raises(NameConflict, match=spec.name):
        await bench.engine.create(spec)


async def test_an_image_that_cannot_be_had(bench: Any) -> None:
    """Docker fails to pull it; the process engine, which has no images, has nothing to run. Both name it."""
    image = "127.0.0.1:1/nothing/here:1"

    async def deploy() -> None:
        await bench.engine.ensure_image(image)
        await bench.engine.create(bench.spec(image=image, args=None))

    with pytest.raises(EngineError, match=re.escape(image)) as failure:
        await deploy()
    words = "connection refused" if bench.engine.name == "docker" else "without a command"
    assert words in str(failure.value)


async def test_a_program_that_is_not_there(bench: Any) -> None:
    engine_id = await bench.engine.create(bench.spec(args=("no-such-program",)))
    with pytest.raises(InvalidSpec, match="no-such-program"):
        await bench.engine.start(engine_id)
    state = await bench.engine.inspect(engine_id)
    assert (state.status, state.exit_code) == ("created", 127)
    assert "no-such-program" in state.error


async def test_command_and_args(bench: Any) -> None:
    spec = bench.spec(command=("sh", "-c"), args=("echo $0 $GREETING; exit 2", "zero"), env={"GREETING": "hi"})
    state = await run_to_end(bench.engine, spec)
    assert state.exit_code == 2
    assert [line.text for line in await read_logs(bench.engine, state.engine_id)] == [b"zero hi"]


async def test_volumes(bench: Any) -> None:
    name = f"vol-{bench.labels['hivemind.test']}"
    volume = await bench.engine.create_volume(name, labels=bench.labels)
    assert (volume.name, volume.driver) == (name, "local")
    assert (await bench.engine.create_volume(name, labels=bench.labels)).path == volume.path
    assert [found.name for found in await bench.engine.list_volumes(bench.labels)] == [name]
    mount = Mount(kind="volume", source=name, target="/data")
    # The process engine's root is the working directory, Docker's is /.
    write = await run_to_end(bench.engine, bench.spec("echo kept > ./data/file", mounts=(mount,), workdir="/"))
    assert write.exit_code == 0
    read = await run_to_end(bench.engine, bench.spec("cat ./data/file", mounts=(mount,), workdir="/"))
    assert [line.text for line in await read_logs(bench.engine, read.engine_id)] == [b"kept"]
    with pytest.raises(VolumeInUse):
        await bench.engine.remove_volume(name)
    for state in (write, read):
        await bench.engine.remove(state.engine_id)
    await bench.engine.remove_volume(name)
    with pytest.raises(VolumeNotFound):
        await bench.engine.remove_volume(name)
    with pytest.raises(InvalidSpec):
        await bench.engine.create_volume("../escape", labels=bench.labels)


async def test_memory_limit(bench: Any) -> None:
    """The shell grows a variable until it is over the limit."""
    script = "x=0123456789; while :; do x=$x$x; done"
    spec = bench.spec(script, memory_limit_bytes=32 * 1024 * 1024)
    async with bench.engine.events(bench.labels) as events:
        engine_id = await bench.engine.create(spec)
        await bench.engine.start(engine_id)
        await next_action(events, "oom")
        await next_action(events, "die")
    state = await bench.engine.inspect(engine_id)
    assert (state.status, state.exit_code, state.oom_killed) == ("exited", 137, True)


async def test_adoption_by_a_new_engine_object(bench: Any) -> None:
    script = "trap 'echo after; exit 11' TERM; echo before; while :; do sleep 0.1; done"
    running = await bench.engine.create(bench.spec(script))
    await bench.engine.start(running)
    before = await bench.engine.inspect(running)
    ended = (await run_to_end(bench.engine, bench.spec("exit 12"))).engine_id
    await bench.engine.aclose()
    adopter = bench.reopen()
    try:
        async with adopter.events(bench.labels) as events:
            states = {state.engine_id: state for state in await adopter.list(bench.labels)}
            assert states[ended].exit_code == 12
            assert (states[running].pid, states[running].started_at_s) == (before.pid, before.started_at_s)
            await adopter.stop(running, grace_s=15)
            assert (await next_action(events, "die")).exit_code == 11
        lines = [line.text for line in await read_logs(adopter, running)]
        # A shell whose sleep got the signal, too, may tell that besides.
        assert [text for text in lines if text != b"Terminated"] == [b"before", b"after"]
        for engine_id in (running, ended):
            await adopter.remove(engine_id)
    finally:
        await adopter.aclose()


async def test_a_port_is_reached(bench: Any) -> None:
    port = ContainerPort(container_port=8080)
    if bench.engine.name == "docker":
        spec = bench.spec("echo hello > /www/index.html; exec httpd -f -p 8080 -h /www", ports=(port,))
    else:
        spec = bench.spec(image="hivemind/whoami", args=None, ports=(port,))
    engine_id = await bench.engine.create(spec)
    await bench.engine.start(engine_id)
    state = await bench.engine.inspect(engine_id)
    answer = await http_get(state.address, state.port_map[8080])
    assert b" 200 OK" in answer
    assert (b"hello" if bench.engine.name == "docker" else spec.name.encode()) in answer


async def http_get(address: str, port: int) -> bytes:
    """Tries until somebody listens."""
    with trio.fail_after(_PATIENCE_S):
        while True:
            try:
                stream = await trio.open_tcp_stream(address, port)
            except OSError:
                await trio.sleep(0.05)
                continue
            async with stream:
                await stream.send_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")
                return b"".join([chunk async for chunk in stream])
