"""The routing mesh over loopback: real sockets, two nodes that share one replica of the state."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from msgspec.structs import replace

from consensus.commands import (
    AddNode,
    CreateService,
    DeleteApp,
    DeleteService,
    ReportTasks,
    StartNode,
    TaskReport,
    UpdateService,
)
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec, Port
from consensus.model.node import NodeFacts
from consensus.model.service import GivenEndpoint, ServicePort, Strategy
from consensus.model.task import Health, TaskState, TaskStatus
from runtime.network.mesh import Mesh, MeshConfig
from runtime.network.routes import PublishedPort, service_routes
from tests.runtime.local_cluster import LocalCluster
from tests.runtime.peer_net import FakePeerError, PeerNet

Serve = Callable[[trio.SocketStream], object]


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class Net:
    """Nodes n1 and n2 with a mesh each, on addresses of their own."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.cluster = LocalCluster()
        self.peers = PeerNet(nursery)
        block = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}"
        self.addresses = {"n1": f"{block}.1", "n2": f"{block}.2"}
        self.container_address = f"{block}.100"
        self.meshes: dict[str, Mesh] = {}
        self.accepted: list[str] = []

    @property
    def machine(self) -> Machine:
        return self.cluster.machine

    def backends(self, service: str, host_port: int) -> list[str]:
        state = self.machine.state
        route = service_routes(state, state.services[service])[PublishedPort(host_port, "tcp")]
        return [backend.task_id for backend in route.backends]

    async def start(self) -> None:
        for number, (node_id, address) in enumerate(self.addresses.items()):
            facts = NodeFacts(address=address, api_port=1, peer_port=number)
            await self.cluster.do(AddNode(node_id=node_id, facts=facts))
            await self.cluster.do(StartNode(node_id=node_id, boot_id="b", facts=facts))
            channel = self.peers.channel(node_id)
            mesh = self.meshes[node_id] = Mesh(
                node_id=node_id,
                machine=self.machine,
                peers=channel,
                peer_failures=(FakePeerError,),
                rng=random.Random(),
                config=MeshConfig(bind_address=address, rebind_first_s=0.05),
            )
            mesh.serve(channel)
            await self.nursery.start(lambda task_status, mesh=mesh: mesh.run(task_status=task_status))

    async def container(self, name: str) -> int:
        """A server that says its name, then echoes until the client's end, then says bye; its port."""

        async def serve(stream: trio.SocketStream) -> None:
            self.accepted.append(name)
            async with stream:
                await stream.send_all(name.encode() + b"\n")
                async for data in stream:
                    await stream.send_all(data)
                await stream.send_all(b"bye")

        listeners = await self.nursery.start(partial(trio.serve_tcp, serve, 0, host=self.container_address))
        return int(listeners[0].socket.getsockname()[1])

    async def deploy(self, name: str, host_port: int, ports: dict[str, int], protocol: str = "tcp") -> list[str]:
        """An app with one replica at each (node, container's port)."""
        task_ids = []
        for number, (node_id, port) in enumerate(ports.items()):
            if number == 0:
                spec = AppSpec(
                    name=name,
                    image="i",
                    replicas=len(ports),
                    ports=[Port(container_port=80, host_port=host_port, protocol=protocol)],
                )
                task_ids = await self.cluster.deploy(spec, "n1")
            await self._move(task_ids[number], node_id)
            await self.running(task_ids[number], port)
        return task_ids

    async def _move(self, task_id: str, node_id: str) -> None:
        # One deploy places all on one node; the tests want a replica on each.
        state = self.machine.state
        task = replace(state.tasks[task_id], node_id=node_id)
        self.machine.state = replace(state, tasks=state.tasks.set(task_id, task))

    async def running(self, task_id: str, port: int, health: Health = Health.HEALTHY) -> None:
        status = TaskStatus(
            state=TaskState.RUNNING, health=health, ip_address=self.container_address, port_map={80: port}
        )
        node_id = self.machine.state.tasks[task_id].node_id
        assert node_id is not None
        await self.cluster.do(ReportTasks(node_id=node_id, reports=[TaskReport(task_id, status)]))

    async def opened(self, node_id: str, port: int, protocol: str = "tcp") -> None:
        with trio.fail_after(5):
            while PublishedPort(port, protocol) not in self.meshes[node_id].open_ports:  # noqa: ASYNC110
                await trio.sleep(0.01)

    async def closed(self, node_id: str, port: int) -> None:
        with trio.fail_after(5):
            while PublishedPort(port, "tcp") in self.meshes[node_id].open_ports:  # noqa: ASYNC110
                await trio.sleep(0.01)

    async def connect(self, node_id: str, port: int) -> trio.SocketStream:
        return await trio.open_tcp_stream(self.addresses[node_id], port)

    async def name_at(self, node_id: str, port: int) -> bytes:
        async with await self.connect(node_id, port) as stream:
            return await _line(stream)


async def _line(stream: trio.SocketStream) -> bytes:
    line = b""
    with trio.fail_after(10):
        while not line.endswith(b"\n"):
            data = await stream.receive_some(100)
            if not data:
                return line
            line += data
    return line.strip()


@asynccontextmanager
async def two_nodes() -> AsyncIterator[Net]:
    async with trio.open_nursery() as nursery:
        net = Net(nursery)
        await net.start()
        yield net
        nursery.cancel_scope.cancel()


async def test_every_node_answers_from_every_replica_in_turn() -> None:
    async with two_nodes() as net:
        port = _free_port(net.addresses["n1"])
        ports = {"n1": await net.container("a"), "n2": await net.container("b")}
        await net.deploy("web", port, ports)
        for node_id in net.addresses:
            await net.opened(node_id, port)
            assert {await net.name_at(node_id, port) for _ in range(4)} == {b"a", b"b"}


async def test_bytes_and_half_close_travel_both_ways_to_another_node() -> None:
    async with two_nodes() as net:
        port = _free_port(net.addresses["n1"])
        await net.deploy("web", port, {"n2": await net.container("b")})
        await net.opened("n1", port)
        sent = random.randbytes(3_000_000)
        got = bytearray()
        async with await net.connect("n1", port) as stream:
            assert await _line(stream) == b"b"

            async def write() -> None:
                await stream.send_all(sent)
                await stream.send_eof()

            with trio.fail_after(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(write)
                    async for data in stream:
                        got += data
        assert bytes(got) == sent + b"bye"
        with trio.fail_after(5):
            while net.peers.streams_open:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_dead_replica_and_a_dead_node_are_passed_over() -> None:
    async with two_nodes() as net:
        port = _free_port(net.addresses["n1"])
        await net.deploy("web", port, {"n1": _free_port(net.container_address), "n2": await net.container("b")})
        await net.opened("n1", port)
        assert [await net.name_at("n1", port) for _ in range(4)] == [b"b"] * 4
        assert {await net.name_at("n2", port)} == {b"b"}
        net.peers.unreachable.add("n2")
        async with await net.connect("n1", port) as stream:
            assert await _line(stream) == b""


async def test_a_port_closes_with_its_app_and_what_is_open_goes_on() -> None:
    async with two_nodes() as net:
        port = _free_port(net.addresses["n1"])
        await net.deploy("web", port, {"n2": await net.container("b")})
        await net.opened("n1", port)
        async with await net.connect("n1", port) as stream:
            assert await _line(stream) == b"b"
            await net.cluster.do(DeleteApp(name="web"))
            await net.closed("n1", port)
            await stream.send_all(b"still\n")
            assert await _line(stream) == b"still"
        try:
            await net.connect("n1", port)
        except OSError:
            return
        raise AssertionError("the port is still open")


async def test_a_taken_port_is_told_and_opened_when_it_is_free() -> None:
    async with two_nodes() as net:
        with socket.socket() as taken:
            taken.bind((net.addresses["n1"], 0))
            taken.listen()
            port = taken.getsockname()[1]
            await net.deploy("web", port, {"n1": await net.container("a")})
            await net.opened("n2", port)
            with trio.fail_after(5):
                while PublishedPort(port, "tcp") not in net.meshes["n1"].problems:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            assert await net.name_at("n2", port) == b"a"
        await net.opened("n1", port)
        assert not net.meshes["n1"].problems
        assert not net.meshes["n1"].taken
        assert await net.name_at("n1", port) == b"a"


async def test_a_peer_cannot_reach_anything_but_this_nodes_tasks() -> None:
    async with two_nodes() as net:
        (task_id,) = await net.deploy("web", 8080, {"n1": await net.container("a")})
        channel = net.peers.channel("n2")
        for request in (
            {"task_id": task_id, "container_port": 22},
            {"task_id": "web.9.nosuch", "container_port": 80},
            {"task_id": task_id},
            {"task_id": [], "container_port": 80},
            "rubbish",
        ):
            async with channel.open_stream("n1", "mesh", request) as stream:
                assert (await stream.receive()).startswith(b"\x00")
        async with channel.open_stream("n2", "mesh", {"task_id": task_id, "container_port": 80}) as stream:
            assert (await stream.receive()).startswith(b"\x00")
        assert net.accepted == []


async def test_only_healthy_replicas_are_served() -> None:
    async with two_nodes() as net:
        task_ids = await net.deploy("web", 8080, {"n1": 1, "n2": 2})
        assert len(net.backends("web", 8080)) == 2
        await net.running(task_ids[0], 1, Health.UNHEALTHY)
        assert net.backends("web", 8080) == [task_ids[1]]


async def test_datagrams_come_back_from_a_replica_of_any_node() -> None:
    async with two_nodes() as net:
        port = _free_port(net.addresses["n1"])
        with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as server:
            await server.bind((net.container_address, 0))

            async def echo() -> None:
                while True:
                    data, client = await server.recvfrom(70000)
                    await server.sendto(data.upper(), client)

            net.nursery.start_soon(echo)
            await net.deploy("dns", port, {"n1": server.getsockname()[1]}, "udp")
            for node_id in net.addresses:
                await net.opened(node_id, port, "udp")
                with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as client, trio.fail_after(5):
                    await client.connect((net.addresses[node_id], port))
                    for word in (b"one", b"", b"x" * 60_000, b"two"):
                        await client.send(word)
                        assert await client.recv(70000) == word.upper()
            net.nursery.cancel_scope.cancel()


async def test_an_endpoint_is_told_its_client_by_the_proxy_protocol() -> None:
    async with two_nodes() as net:
        port = _free_port(net.addresses["n1"])
        await net.deploy("web", port, {"n2": await net.container("b")})
        await net.cluster.do(UpdateService(name="web", proxy_protocol="v2"))
        await net.opened("n1", port)
        async with await net.connect("n1", port) as stream:
            assert await _line(stream) == b"b"
            client, server = stream.socket.getsockname(), stream.socket.getpeername()
            await stream.send_all(b"hello")
            await stream.send_eof()
            got = b"".join([data async for data in stream])
        header = bytes.fromhex("0d0a0d0a000d0a515549540a2111000c")
        addresses = socket.inet_aton(client[0]) + socket.inet_aton(server[0])
        assert got == header + addresses + struct.pack("!HH", client[1], server[1]) + b"hello" + b"bye"


async def test_a_service_of_its_own_leads_to_the_addresses_that_it_was_given() -> None:
    async with two_nodes() as net:
        host_port = _free_port(net.addresses["n1"])
        endpoints = [
            GivenEndpoint(net.container_address, await net.container(name), weight)
            for name, weight in (("x", 3), ("y", 1))
        ]
        await net.cluster.do(
            CreateService(
                name="own",
                ports=[ServicePort(80, host_port=host_port)],
                endpoints=endpoints,
                load_balancing_strategy=Strategy.WEIGHTED_ROUND_ROBIN,
            )
        )
        for node_id in net.addresses:
            await net.opened(node_id, host_port)
            names = [await net.name_at(node_id, host_port) for _ in range(8)]
            assert (names.count(b"x"), names.count(b"y")) == (6, 2)
        await net.cluster.do(DeleteService("own"))
        await net.closed("n1", host_port)
