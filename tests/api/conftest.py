"""An API over a replica of its own: no cluster, no engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from api.app import Api, create_app
from api.deps import (
    ContainerGone,
    ContainerStats,
    DeployPlan,
    Deps,
    HealthReport,
    KeyRound,
    KeyUnknown,
    LogLine,
    MemberView,
    NodeSample,
    NodeUnreachable,
    NodeVitals,
    ProbeResult,
    Settings,
)
from api.upkeep import LeadershipKept
from consensus import commands
from consensus.errors import StorageFull, Unavailable
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.model.cluster import Cluster
from consensus.model.image import ImageFound
from consensus.model.node import NodeFacts
from consensus.model.task import Health, Task, TaskState, TaskStatus
from consensus.model.user import Role, User
from consensus.proposer import LocalProposer
from tests.api.fake_volumes import FakeVolumes

NOW_S = 1_750_000_000.0
VITALS = NodeVitals(
    cpu_percent=25.0,
    load=0.5,
    memory_used_bytes=4 << 30,
    memory_available_bytes=12 << 30,
    memory_total_bytes=16 << 30,
    disk_used_bytes=50 << 30,
    disk_available_bytes=50 << 30,
    disk_total_bytes=100 << 30,
    container_count=3,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


class FakeCluster:
    node_id = "node-1"
    term = 3
    voters = ("node-1",)

    def __init__(self) -> None:
        self.leader_id: str | None = "node-1"
        self.unfit: str | None = None
        self.last_leader_contact_s: float | None = 0.012
        self.barriers = 0

    def members(self) -> Mapping[str, MemberView]:
        return {"node-1": MemberView(state="alive", vitals=VITALS, rtt_s=0.001, last_seen_s=NOW_S)}

    async def read_barrier(self) -> None:
        self.barriers += 1
        if self.leader_id is None:
            raise Unavailable("no leader", retry_after_s=2.5)


class FakeContainers:
    """Logs come from `lines`; with follow, what is sent into `live` follows."""

    def __init__(self) -> None:
        self.lines = [LogLine("stdout", NOW_S + i, f"line {i}") for i in range(5)]
        self.fault: Exception | None = None
        self.asked: dict[str, Any] = {}
        self.read: list[str] = []
        self.opened = trio.Event()
        self.ended = trio.Event()
        self.live_send, self.live_receive = trio.open_memory_channel[LogLine](10)

    @asynccontextmanager
    async def logs(self, task: Task, **asked: Any) -> AsyncIterator[AsyncIterator[LogLine]]:
        self.asked = asked
        self.read.append(task.name)
        if self.fault is not None:
            raise self.fault
        self.opened.set()
        lines = self._lines(asked["follow"])
        try:
            yield lines
        finally:
            self.ended.set()
            with trio.CancelScope(shield=True):
                await lines.aclose()

    async def _lines(self, follow: bool) -> Any:
        for line in self.lines:
            yield line
        while follow:
            try:
                yield await self.live_receive.receive()
            except trio.EndOfChannel:
                return

    @asynccontextmanager
    async def exec(self, task: Task, command: Any, *, tty: bool) -> AsyncIterator[Any]:
        if self.fault is not None:
            raise self.fault
        self.command = FakeCommand(list(command), tty)
        yield self.command

    async def stats(self, task: Task) -> ContainerStats:
        if self.fault is not None:
            raise self.fault
        return ContainerStats(
            cpu_percent=12.5,
            memory_bytes=128_000_000,
            memory_limit_bytes=268_435_456,
            network_rx_bytes=1,
            network_tx_bytes=2,
            block_read_bytes=3,
            block_write_bytes=4,
            timestamp_s=NOW_S,
        )

    async def health(self, task: Task) -> HealthReport:
        if self.fault is not None:
            raise self.fault
        return HealthReport(last_check_s=NOW_S, history=(ProbeResult(NOW_S, "healthy"),))


class FakeCommand:
    """Says on stdout what it is told on stdin; ends at its end."""

    def __init__(self, command: list[str], tty: bool) -> None:
        self.command, self.tty = command, tty
        self.sizes: list[tuple[int, int]] = []
        self.resized = trio.Event()
        self.fault: Exception | None = None
        self._send, self._receive = trio.open_memory_channel[tuple[str, bytes]](100)

    async def send(self, data: bytes) -> None:
        await self._send.send(("stdout", data))
        await self._send.send(("stderr", b"!"))

    async def send_eof(self) -> None:
        self._send.close()

    async def receive(self) -> tuple[str, bytes]:
        if self.fault is not None:
            raise self.fault
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            return "stdout", b""

    async def resize(self, *, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def exit_code(self) -> int | None:
        return 3


class FakeNodes:
    def __init__(self) -> None:
        self.left: list[str] = []
        self.fault: Exception | None = None

    async def history(self, node_id: str) -> list[NodeSample]:
        return [NodeSample(timestamp_s=NOW_S, cpu_percent=1.0, memory_percent=2.0, disk_percent=3.0)]

    async def request_leave(self, node_id: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.left.append(node_id)


class FakeUpkeep:
    """Node-2 takes over whenever it is asked; the backup is b"one" and b"two"."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def transfer_leadership(self, to: str | None) -> str:
        await trio.lowlevel.checkpoint()
        if to == self._cluster.leader_id:
            raise LeadershipKept(f"node {to} leads already")
        self._cluster.leader_id = to or "node-2"
        return self._cluster.leader_id

    @asynccontextmanager
    async def backup(self) -> AsyncIterator[AsyncIterator[bytes]]:
        if self._cluster.leader_id is None:
            raise StorageFull("there is no room")
        async with pieces(b"one", b"two") as found:
            yield found


@asynccontextmanager
async def pieces(*data: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
    """An iterator over `data`."""
    send, receive = trio.open_memory_channel[bytes](len(data))
    for piece in data:
        send.send_nowait(piece)
    send.close()
    yield receive


class FakeKeys:
    """The keyrings of two members; `unready` is why they would refuse a change."""

    def __init__(self) -> None:
        self.rings: dict[str, list[str]] = {"node-1": ["aa" * 8], "node-2": ["aa" * 8]}
        self.failed: dict[str, str] = {}
        self.fault: Exception | None = None

    async def list(self) -> KeyRound:
        return KeyRound(rings=self.rings, failed=self.failed)

    async def install(self, key: bytes) -> str:
        self._change()
        for ring in self.rings.values():
            ring.append(key.hex()[:16])
        return key.hex()[:16]

    async def use(self, fingerprint: str) -> None:
        self._change()
        for ring in self.rings.values():
            if fingerprint not in ring:
                raise KeyUnknown(f"there is no gossip key {fingerprint!r} on this node")
            ring.sort(key=lambda held: held != fingerprint)

    async def remove(self, fingerprint: str) -> None:
        self._change()
        for ring in self.rings.values():
            ring.remove(fingerprint)

    async def rotate(self) -> str:
        self._change()
        for ring in self.rings.values():
            ring[:] = ["bb" * 8]
        return "bb" * 8

    def _change(self) -> None:
        if self.fault is not None:
            raise self.fault


class FakeRegistry:
    """Knows the digests of `images`, all for amd64; fails at one whose digest is an exception. All others are of no
    registry."""

    def __init__(self) -> None:
        self.images: dict[str, str | Exception] = {}
        self.asked: list[str] = []

    async def __call__(self, image: str) -> ImageFound | None:
        self.asked.append(image)
        await trio.lowlevel.checkpoint()
        found = self.images.get(image)
        if isinstance(found, Exception):
            raise found
        return None if found is None else ImageFound(found, ["amd64"])


class PlainHasher:
    """Fast; counts its work."""

    def __init__(self) -> None:
        self.verified = 0

    async def hash(self, password: str) -> str:
        return f"plain:{password}"

    async def verify(self, password_hash: str, password: str) -> bool:
        self.verified += 1
        return password_hash == f"plain:{password}"


def user(name: str, role: Role) -> User:
    return User(id=name, username=name, password_hash=f"plain:{name}-password", role=role, created_at_s=NOW_S)


class World:
    """A replica with a founded cluster, one node, users of every role, and an API over it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.machine = Machine()
        self.proposer = LocalProposer(self.machine, now_s=self.clock)
        self.cluster = FakeCluster()
        self.containers = FakeContainers()
        self.nodes = FakeNodes()
        self.keys = FakeKeys()
        self.volumes = FakeVolumes()
        self.upkeep = FakeUpkeep(self.cluster)
        self.hasher = PlainHasher()
        self.registry = FakeRegistry()
        self.token_key = bytes(range(32))
        self.previous_token_key: bytes | None = None
        unlimited = {
            "requests_per_ip_per_minute": None,
            "requests_per_user_per_hour": None,
            "leader_wait_s": 0.2,
        }
        self.deps = Deps(
            replica=self.machine,
            proposer=self.proposer,
            cluster=self.cluster,
            containers=self.containers,
            nodes=self.nodes,
            volumes=self.volumes,
            gossip_keys=self.keys,
            upkeep=self.upkeep,
            passwords=self.hasher,
            resolve_image=self.registry,
            plan_deploy=self._plan,
            token_key=lambda: self.token_key,
            previous_token_key=lambda: self.previous_token_key,
            seal=lambda plain: plain,
            join_token=self._join_token,
            render_metrics=lambda: b"# HELP hivemind_node_count\nhivemind_node_count 1\n",
            settings=Settings(version="1.2.3", **(unlimited | settings)),
            now_s=self.clock,
        )
        self.app: Api = create_app(self.deps)

    async def _plan(self, spec: AppSpec) -> DeployPlan:
        return DeployPlan([], [])

    async def _join_token(self) -> str:
        return "hm1.abc.def"

    async def found(self, *, feature_level: int = 1) -> None:
        cluster = Cluster(
            id="c1",
            epoch="e1",
            created_at_s=NOW_S,
            ca_certificate_pem=b"",
            ca_key_sealed=b"",
            token_key_sealed=b"",
            join_secret_hash="",
            join_secret_sealed=b"",
            feature_level=feature_level,
        )
        await self.propose(commands.FoundCluster(cluster=cluster, admin=user("admin", Role.ADMIN)))
        await self.propose(commands.CreateUser(user=user("olga", Role.OPERATOR)))
        await self.propose(commands.CreateUser(user=user("vera", Role.VIEWER)))
        await self.add_node("node-1")

    async def add_node(self, node_id: str) -> None:
        number = node_id.rpartition("-")[2]
        facts = NodeFacts(
            address=f"10.0.0.{number}",
            api_port=4483,
            peer_port=7946,
            cpu_cores=4,
            memory_bytes=16 << 30,
            disk_bytes=100 << 30,
            labels={"zone": "zone1"},
            overlay_reason="it is turned off",
        )
        await self.propose(commands.AddNode(node_id=node_id, facts=facts))
        await self.propose(commands.StartNode(node_id=node_id, boot_id="b1", facts=facts))

    async def propose(self, command: commands.AnyCommand) -> Any:
        return (await self.proposer.propose(command)).outcome

    async def deploy(self, name: str = "web", *, replicas: int = 2, running: bool = True, **spec: Any) -> list[str]:
        """Deploys an app on node-1; gives its task ids."""
        whole = msgspec.convert({"name": name, "image": "nginx:latest", "replicas": replicas, **spec}, AppSpec)
        outcome = await self.propose(commands.DeployApp(spec=whole))
        if running:
            await self.run(outcome.task_ids)
        return list(outcome.task_ids)

    async def run(self, task_ids: list[str]) -> None:
        await self.propose(commands.PlaceTasks(placements=[commands.Placement(i, "node-1") for i in task_ids]))
        for number, task_id in enumerate(task_ids, 2):
            status = TaskStatus(
                state=TaskState.RUNNING,
                health=Health.HEALTHY,
                engine_id=f"engine-{task_id}",
                ip_address=f"10.244.1.{number}",
                started_at_s=NOW_S,
            )
            await self.report(task_id, status)

    async def report(self, task_id: str, status: TaskStatus) -> None:
        report = commands.TaskReport(task_id, status)
        await self.propose(commands.ReportTasks(node_id="node-1", reports=[report]))

    async def login(self, name: str = "admin") -> dict[str, str]:
        """Headers that authenticate `name` by a JWT."""
        client = self.app.test_client()
        answer = await client.post("/api/auth/login", json={"username": name, "password": f"{name}-password"})
        token = (await answer.get_json())["data"]["token"]
        return {"Authorization": f"Bearer {token}"}


class Client:
    """Requests as one user; gives status and decoded body."""

    def __init__(self, world: World, headers: dict[str, str]) -> None:
        self._client = world.app.test_client()
        self.headers = headers

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, decoded body, headers."""
        options: dict[str, Any] = {"headers": {**self.headers, **headers}}
        if body is not None:
            options["json"] = body
        answer = await self._client.open("/api" + path, method=method, **options)
        return answer.status_code, await answer.get_json(), answer.headers

    async def get(self, path: str) -> Any:
        """The data of a successful answer."""
        status, body, _ = await self.request("GET", path)
        assert status == 200, body
        assert body["success"] is True
        return body["data"]

    async def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status, and data or error."""
        status, answer, _ = await self.request(method, path, body)
        assert answer["success"] is (status < 400)
        return status, answer["data"] if status < 400 else answer["error"]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.found()
    return made


@pytest.fixture
async def admin(world: World) -> Client:
    return Client(world, await world.login())


@pytest.fixture
def make_client() -> type[Client]:
    return Client


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture
def gone() -> type[Exception]:
    return ContainerGone


@pytest.fixture
def unreachable() -> type[Exception]:
    return NodeUnreachable
