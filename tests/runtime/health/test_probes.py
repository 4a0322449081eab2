"""Probes over real sockets, and what they are made of."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from consensus.model.app_spec import AppSpec, Port
from consensus.model.health_check import HealthCheck, HttpProbe, TcpProbe
from consensus.model.service import ServiceCheck
from runtime.engine.base import ContainerState
from runtime.health.plan import CommandTarget, HttpTarget, TcpTarget, plan_of_check, plan_of_service
from runtime.health.probes import ProbeResult, Probes
from tests.runtime.fake_engine import FakeEngine

CONTAINER = ContainerState(
    engine_id="c1",
    name="web",
    image="i",
    labels={},
    status="running",
    created_at_s=1.0,
    address="127.0.0.1",
    port_map={80: 12345},
)
WEB = AppSpec(name="web", image="i", ports=[Port(container_port=53, protocol="udp"), Port(container_port=80)])


def test_a_check_is_of_the_apps_first_tcp_port_where_it_names_none() -> None:
    http = plan_of_check(HealthCheck(http=HttpProbe(path="/up", status="200,301-302")), WEB, CONTAINER).target
    assert http == HttpTarget(
        address="127.0.0.1", port=12345, scheme="http", path="/up", statuses=((200, 200), (301, 302))
    )
    assert plan_of_check(HealthCheck(tcp=TcpProbe(port=99)), WEB, CONTAINER).target == TcpTarget("127.0.0.1", 99)
    assert plan_of_check(HealthCheck(command="x"), WEB, CONTAINER).target == CommandTarget("c1", "x")
    plan = plan_of_service(ServiceCheck(protocol="https", healthy_threshold=4), WEB, CONTAINER)
    assert isinstance(plan.target, HttpTarget)
    assert (plan.target.scheme, plan.rules.healthy_threshold) == ("https", 4)


@pytest.mark.parametrize(
    ("check", "field"),
    [
        ({}, "health_check"),
        ({"command": "x", "tcp": {"port": 1}}, "health_check"),
        ({"tcp": {}}, "health_check.tcp.port"),
        ({"http": {"port": 80, "status": "many"}}, "health_check.http.status"),
        ({"http": {"port": 80, "status": 700}}, "health_check.http.status"),
        ({"http": {"port": 80, "headers": {"a": "b\r\nc: d"}}}, "health_check.http.headers"),
        ({"command": "x", "interval": "0s"}, "health_check.interval"),
        ({"command": "x", "timeout": "soon"}, "health_check.timeout"),
    ],
)
def test_a_check_that_cannot_be_meant_is_refused_by_its_field(check: dict[str, Any], field: str) -> None:
    spec = msgspec.convert({"name": "web", "image": "i", "health_check": check}, AppSpec)
    assert field in [name for name, _ in spec.problems()]


@pytest.mark.parametrize(
    ("restart", "field"),
    [
        ({"backoff": "0s"}, "restart.backoff"),
        ({"backoff": "2m"}, "restart.max_backoff"),
        ({"window": "1m"}, "restart.window"),
    ],
)
def test_a_restart_policy_that_cannot_be_meant_is_refused_by_its_field(restart: dict[str, Any], field: str) -> None:
    spec = msgspec.convert({"name": "web", "image": "i", "restart": restart}, AppSpec)
    assert [name for name, _ in spec.problems()] == [field]


@asynccontextmanager
async def _server(answer: bytes | None) -> AsyncIterator[int]:
    """A port whose connections are answered, or (None) left waiting."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                if await stream.receive_some(4096):
                    if answer is None:
                        await trio.sleep_forever()
                    await stream.send_all(answer)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def _target(port: int, **probe: Any) -> HttpTarget:
    container = msgspec.structs.replace(CONTAINER, port_map={80: port})
    target = plan_of_check(HealthCheck(http=HttpProbe(**probe)), WEB, container).target
    assert isinstance(target, HttpTarget)
    return target


@pytest.mark.parametrize(
    ("status", "expected", "message"),
    [(204, "200-399", ""), (302, "200-399", ""), (503, "200-399", "GET /: status 503"), (503, 503, "")],
)
async def test_the_status_decides(status: int, expected: int | str, message: str) -> None:
    async with _server(f"HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nabc".encode()) as port:
        result = await Probes(FakeEngine()).probe(_target(port, status=expected), timeout_s=5.0)
    assert result == ProbeResult(message)


async def test_headers_are_sent_and_rubbish_is_no_pass() -> None:
    async with _server(b"rubbish\r\n\r\n") as port:
        result = await Probes(FakeEngine()).probe(_target(port, headers={"X-Probe": "1"}), timeout_s=5.0)
    assert result is not None
    assert result.message.startswith("GET /: ")


async def test_who_does_not_answer_in_time_has_failed(autojump_clock: MockClock) -> None:
    async with _server(None) as port:
        result = await Probes(FakeEngine()).probe(_target(port), timeout_s=2.0)
    assert result == ProbeResult("no answer within 2 s")


async def test_a_connection_that_is_taken_is_a_pass_and_a_closed_port_is_told() -> None:
    probes = Probes(FakeEngine())
    async with _server(b"") as port:
        assert await probes.probe(TcpTarget("127.0.0.1", port), timeout_s=5.0) == ProbeResult()
    closed = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.9"
    result = await probes.probe(TcpTarget(closed, 9), timeout_s=5.0)
    assert result is not None
    assert result.message == "port 9: connection refused"
    assert await probes.probe(TcpTarget(None, 9), timeout_s=5.0) == ProbeResult("it has no address")
    assert await probes.probe(TcpTarget("127.0.0.1", None), timeout_s=5.0) == ProbeResult(
        "it has no port that could be probed"
    )
