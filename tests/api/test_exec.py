"""Exec over a WebSocket: channels as Kubernetes' (v4.channel.k8s.io), control messages as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from quart.testing.connections import WebsocketDisconnectError, WebsocketResponseError

from api.errors import InvalidRequest
from api.exec_socket import parse_command


@contextmanager
def suppress_disconnect(codes: list[int]) -> Iterator[None]:
    try:
        yield
    except WebsocketDisconnectError as closed:
        codes.append(closed.args[0])


async def connect(world: Any, path: str, name: str = "olga") -> Any:
    token = (await world.login(name))["Authorization"].removeprefix("Bearer ")
    return world.app.test_client().websocket(f"/api{path}{'&' if '?' in path else '?'}token={token}")


async def test_stdin_stdout_stderr_resize_and_the_exit_code(world: Any) -> None:
    (task_id,) = await world.deploy("web", replicas=1)
    async with await connect(world, f"/containers/{task_id}/exec?command=cat+-u&tty=true&columns=80&rows=24") as socket:
        await socket.send(b"\x00hello")
        assert await socket.receive() == b"\x01hello"
        assert await socket.receive() == b"\x02!"
        await socket.send(json.dumps({"type": "resize", "columns": 100, "rows": 50}))
        await socket.send(json.dumps({"type": "stdin", "data": "ü"}))
        assert await socket.receive() == b"\x01" + "ü".encode()
        assert await socket.receive() == b"\x02!"
        await socket.send(json.dumps({"type": "eof"}))
        assert json.loads(await socket.receive()) == {"type": "exit", "exit_code": 3}
        with pytest.raises(WebsocketDisconnectError):
            await socket.receive()
    command = world.containers.command
    assert (command.command, command.tty, command.sizes) == (["cat", "-u"], True, [(80, 24), (100, 50)])
    await world.app.journal.flush()
    records = [r for r in world.machine.state.audit.values() if "exec" in r.action]
    assert [(r.user_id, r.target, r.message) for r in records] == [("olga", f"/containers/{task_id}/exec", "cat -u")]


@pytest.mark.parametrize("message", [b"\x05x", "{", '{"type": "frob"}', '{"type": "resize", "columns": 0, "rows": 1}'])
async def test_what_cannot_be_read_closes(world: Any, message: Any) -> None:
    (task_id,) = await world.deploy("web", replicas=1)
    async with await connect(world, f"/containers/{task_id}/exec") as socket:
        await socket.send(message)
        with pytest.raises(WebsocketDisconnectError) as closed:
            await socket.receive()
        assert closed.value.args[0] == 1003


async def test_a_node_that_goes_away_closes_with_a_reason(world: Any, unreachable: Any) -> None:
    (task_id,) = await world.deploy("web", replicas=1)
    async with await connect(world, f"/containers/{task_id}/exec") as socket:
        await socket.send(b"\x00x")
        await socket.receive()
        world.containers.command.fault = unreachable("node-1 is away")
        await socket.send(b"\x00x")
        codes: list[int] = []
        while not codes:
            with suppress_disconnect(codes):
                await socket.receive()
        assert codes == [1011]


@pytest.mark.parametrize(
    ("name", "query", "fault", "status"),
    [
        ("vera", "", None, 403),
        ("olga", "?command=%27", None, 400),
        ("olga", "?columns=0", None, 400),
        ("olga", "", "gone", 404),
        ("olga", "", "unreachable", 503),
    ],
)
async def test_what_cannot_begin_is_an_answer(
    world: Any, gone: Any, unreachable: Any, name: str, query: str, fault: str | None, status: int
) -> None:
    (task_id,) = await world.deploy("web", replicas=1)
    world.containers.fault = {None: None, "gone": gone("x"), "unreachable": unreachable("x")}[fault]
    async with await connect(world, f"/containers/{task_id}/exec{query}", name) as socket:
        with pytest.raises(WebsocketResponseError) as refused:
            await socket.receive()
    assert refused.value.response.status_code == status


def test_commands() -> None:
    assert parse_command(None) == ("sh",)
    assert parse_command("sh -c 'echo hi'") == ("sh", "-c", "echo hi")
    assert parse_command('["a b", "c"]') == ("a b", "c")
    for bad in ("", "[]", "[1]", "'"):
        with pytest.raises(InvalidRequest):
            parse_command(bad)
