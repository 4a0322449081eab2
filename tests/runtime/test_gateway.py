"""Logs, stats and health of a container, asked for at its own node and at another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from msgspec.structs import replace

from consensus.model.app_spec import AppSpec
from consensus.model.task import Health, Task
from runtime.engine.base import LogLine
from runtime.gateway import ContainerGateway, ContainerGone, EngineTrouble, GatewayError, NodeUnreachable
from runtime.gateway_server import GatewayServer, NodeContainers
from runtime.vitals import NodeVitals
from tests.runtime.fake_engine import FakeEngine
from tests.runtime.local_cluster import LocalCluster
from tests.runtime.peer_net import FakePeerError, PeerNet

VITALS = [NodeVitals(timestamp_s=1.0, cpu_percent=3.5), NodeVitals(timestamp_s=2.0, cpu_percent=4.5)]


class Pair:
    """Node n1 runs the task; n2 asks for it."""

    def __init__(self, net: PeerNet, engine: FakeEngine, cluster: LocalCluster, task_id: str) -> None:
        self.net, self.engine, self.cluster, self.task_id = net, engine, cluster, task_id
        self.gateways: dict[str, ContainerGateway] = {}

    @property
    def task(self) -> Task:
        return self.cluster.task(self.task_id)

    async def lines(self, node_id: str, **options: object) -> list[bytes]:
        async with self.gateways[node_id].logs(self.task, **options) as lines:  # type: ignore[arg-type]
            return [line.text async for line in lines]


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    async with trio.open_nursery() as nursery:
        net, engine, cluster = PeerNet(nursery), FakeEngine(), LocalCluster()
        engine.start_s = 0.0
        await cluster.add_node()
        agent = cluster.agent(engine)
        await nursery.start(lambda task_status: agent.run(task_status=task_status))
        (task_id,) = await cluster.deploy(AppSpec(name="web", image="i"))
        with trio.fail_after(5):
            while not cluster.task(task_id).serving:
                await cluster.machine.watch.changed(cluster.machine.watch.index)
        it = Pair(net, engine, cluster, task_id)
        for node_id in ("n1", "n2"):
            channel = net.channel(node_id)
            # On n2 there is nothing: whatever it answers comes from n1.
            local = NodeContainers(agent, engine if node_id == "n1" else FakeEngine(), lambda: VITALS)
            if node_id == "n1":
                GatewayServer(local, peer_failures=(FakePeerError,)).serve(channel)
            it.gateways[node_id] = ContainerGateway(
                node_id=node_id, local=local, peers=channel, peer_failures=(FakePeerError,)
            )
        yield it
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("node_id", ["n1", "n2"])
async def test_any_node_answers_for_the_container(node_id: str) -> None:
    async with pair() as it:
        it.engine.log_lines = [LogLine("stdout", 1.5, b"one"), LogLine("stderr", 2.5, b"two \xff")]
        gateway = it.gateways[node_id]
        assert (await gateway.stats(it.task)).cpu_percent == 12.5
        assert set(await gateway.cpu_times("n1", [it.task_id, "other"])) == {it.task_id}
        report = await gateway.health(it.task)
        assert report.health is Health.HEALTHY
        assert len(report.history) == 1
        assert await gateway.node_history("n1") == VITALS
        async with gateway.logs(it.task) as lines:
            assert [line async for line in lines] == it.engine.log_lines
        assert await it.lines(node_id, tail=1) == [b"two \xff"]


@pytest.mark.parametrize("node_id", ["n1", "n2"])
async def test_a_log_is_followed_and_ends_at_its_node_with_its_reader(node_id: str) -> None:
    async with pair() as it:
        with trio.fail_after(5):
            async with it.gateways[node_id].logs(it.task, follow=True) as lines:
                for text in (b"now", b"later"):
                    it.engine.write(LogLine("stdout", 1.0, text))
                    assert (await anext(lines)).text == text
                assert it.engine.logs_open == 1
            while it.engine.logs_open or it.net.streams_open:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_long_log_arrives_whole_while_the_reader_is_slow() -> None:
    async with pair() as it:
        it.engine.log_lines = [LogLine("stdout", n, b"x" * 500) for n in range(3000)]
        async with it.gateways["n2"].logs(it.task) as lines:
            await trio.sleep(0.1)
            assert [line.timestamp_s async for line in lines] == list(range(3000))


async def test_what_is_wrong_is_told_alike_here_and_there() -> None:
    async with pair() as it:
        gone = replace(it.task, id="web.9.nosuch")
        for gateway in it.gateways.values():
            for ask in (gateway.stats, gateway.health):
                with pytest.raises(ContainerGone):
                    await ask(gone)
            with pytest.raises(ContainerGone):
                async with gateway.logs(gone):
                    pass
            with pytest.raises(ContainerGone):
                await gateway.stats(replace(it.task, node_id=None))
        it.engine.down = True
        for gateway in it.gateways.values():
            with pytest.raises(EngineTrouble, match="connection refused"):
                await gateway.stats(it.task)


async def test_a_node_that_does_not_answer_is_named() -> None:
    async with pair() as it:
        it.net.unreachable.add("n1")
        gateway = it.gateways["n2"]
        with pytest.raises(NodeUnreachable, match="node n1 does not answer"):
            await gateway.stats(it.task)
        with pytest.raises(NodeUnreachable, match="node n1 does not answer"):
            async with gateway.logs(it.task):
                pass


async def test_a_peers_rubbish_is_refused() -> None:
    async with pair() as it:
        async with it.net.channel("n2").open_stream("n1", "container.logs", {"tail": "x"}) as stream:
            assert b"not a log request" in await stream.receive()
        it.net.channel("n1")._calls["container.stats"] = _rubbish
        with pytest.raises(GatewayError, match="rubbish"):
            await it.gateways["n2"].stats(it.task)


async def _rubbish(peer: str, body: object) -> object:
    return ["rubbish"]
