"""The agent and the mesh with real engines: what the in-memory engine only plays (design.md §2.5, §7).

The Docker engine is at $HIVEMIND_TEST_DOCKER_HOST, which scripts/test sets; no other engine is ever touched.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from consensus.commands import AddNode, DeleteApp, StartNode
from consensus.model.app_spec import AppSpec, Port
from consensus.model.health_check import HealthCheck, HttpProbe
from consensus.model.node import NodeFacts
from consensus.model.task import Task
from consensus.model.workload import VolumeMount
from runtime import labels
from runtime.agent import Agent
from runtime.engine.base import Engine
from runtime.engine.docker import Docker
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.process.engine import ProcessEngine
from runtime.network.mesh import Mesh, MeshConfig
from tests.runtime.local_cluster import NODE, LocalCluster
from tests.runtime.peer_net import FakePeerError, PeerNet
from tests.support.engine_api import EngineApi
from tests.support.images import BUSYBOX_IMAGE, busybox_archive

SERVER = 'mkdir -p /tmp/w; cd /tmp/w; hostname > index.html; exec busybox httpd -f -p "${PORT:-8000}"'
FACTS = NodeFacts(address="127.0.0.1", api_port=1, peer_port=2)


class Place:
    """A cluster of one node with a real engine."""

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self.engine = open_engine()
        self.open_engine = open_engine
        self.cluster = LocalCluster()
        self.cluster_id = f"test-{uuid.uuid4().hex[:12]}"

    def agent(self) -> Agent:
        return Agent(
            node_id=NODE,
            cluster_id=self.cluster_id,
            machine=self.cluster.machine,
            proposer=self.cluster,
            engine=self.engine,
            caught_up=self.cluster.caught_up,
        )

    async def until(self, condition: Callable[[list[Task]], bool], timeout_s: float = 30.0) -> list[Task]:
        watch = self.cluster.machine.watch
        tasks: list[Task] = []
        with trio.move_on_after(timeout_s):
            while True:
                tasks = list(self.cluster.machine.state.tasks.values())
                if condition(tasks):
                    return tasks
                await watch.changed(watch.index)
        raise AssertionError(f"it did not come; last: {[task.status for task in tasks]}")


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "docker":
        host = os.environ.get("HIVEMIND_TEST_DOCKER_HOST")
        if not host:
            pytest.fail("a Docker test was selected, but HIVEMIND_TEST_DOCKER_HOST is not set (scripts/test sets it)")
        api = EngineApi(host)
        if not api.has_image(BUSYBOX_IMAGE):
            api.load_image(busybox_archive())
        place = Place(lambda: DockerEngine(Docker(host)))
    else:
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.9"
        place = Place(lambda: ProcessEngine(tmp_path / "engine", address=address))
    await place.cluster.do(AddNode(node_id=NODE, facts=FACTS))
    await place.cluster.do(StartNode(node_id=NODE, boot_id="b", facts=FACTS))
    yield place
    own = labels.own_labels(place.cluster_id, NODE)
    for container in await place.engine.list(own):
        await place.engine.remove(container.engine_id, force=True, volumes=True)
    for volume in await place.engine.list_volumes(own):
        await place.engine.remove_volume(volume.name, force=True)
    await place.engine.aclose()


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Agent]:
    async with trio.open_nursery() as nursery:
        agent = place.agent()
        await nursery.start(lambda task_status: agent.run(task_status=task_status))
        yield agent
        nursery.cancel_scope.cancel()


def _spec(script: str, **more: object) -> AppSpec:
    values = {
        "name": "web",
        "image": BUSYBOX_IMAGE,
        "command": ["/bin/sh", "-c", script],
        "stop_grace_period": "1s",
        **more,
    }
    return AppSpec(**values)  # type: ignore[arg-type]


def all_serving(count: int) -> Callable[[list[Task]], bool]:
    return lambda tasks: len(tasks) == count and all(task.serving for task in tasks)


async def test_the_life_of_an_app(place: Place) -> None:
    """Deployed, killed from outside, adopted by a new daemon with nothing restarted, deleted with nothing left."""
    async with running(place):
        await place.cluster.deploy(
            _spec("sleep 1000", replicas=3, volumes=[VolumeMount(name="data", mount_path="/data")])
        )
        tasks = await place.until(all_serving(3))
        assert len(await place.engine.list_volumes(labels.own_labels(place.cluster_id, NODE))) == 1
        victim = tasks[0]
        assert victim.status.engine_id is not None
        await place.engine.kill(victim.status.engine_id, signal="SIGKILL")
        tasks = await place.until(
            lambda tasks: all_serving(3)(tasks) and sum(task.status.restart_count for task in tasks) == 1
        )
    before = {task.id: task.status for task in tasks}
    await place.engine.aclose()
    place.engine = place.open_engine()
    async with running(place):
        await trio.sleep(1.0)
        assert {task.id: task.status for task in place.cluster.machine.state.tasks.values()} == before
        started_at_s = time.monotonic()
        await place.cluster.do(DeleteApp(name="web"))
        await place.until(lambda tasks: not tasks)
        assert time.monotonic() - started_at_s < 10
        assert not await place.engine.list(labels.own_labels(place.cluster_id, NODE))


async def test_a_health_check_runs_in_the_container(place: Place) -> None:
    async with running(place) as agent:
        check = HealthCheck(command="test -e /tmp", interval="1s", timeout="5s")
        (task_id,) = await place.cluster.deploy(_spec("sleep 1000", health_check=check))
        await place.until(all_serving(1))
        report = agent.health(task_id)
        assert report is not None
        assert report.history[0].message == ""


async def test_a_port_is_probed_from_the_node(place: Place) -> None:
    check = HealthCheck(http=HttpProbe(path="/index.html", status=200), interval="1s")
    async with running(place) as agent:
        (task_id,) = await place.cluster.deploy(_spec(SERVER, ports=[Port(container_port=8000)], health_check=check))
        await place.until(all_serving(1))
        report = agent.health(task_id)
        assert report is not None
        assert report.history[0].message == ""


async def test_a_program_that_does_not_exist_is_told_in_the_engines_words(place: Place) -> None:
    async with running(place):
        await place.cluster.deploy(_spec("", command=["/no/such/program"]))
        (task,) = await place.until(lambda tasks: any(task.status.state.terminal for task in tasks))
        assert task.status.message


async def test_published_ports_lead_to_the_containers(place: Place) -> None:
    bind = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.1"
    port = random.randint(20000, 30000)
    async with running(place), trio.open_nursery() as nursery:
        channel = PeerNet(nursery).channel(NODE)
        mesh = Mesh(
            node_id=NODE,
            machine=place.cluster.machine,
            peers=channel,
            peer_failures=(FakePeerError,),
            rng=random.Random(1),
            config=MeshConfig(bind_address=bind),
        )
        nursery.start_soon(mesh.run)
        await place.cluster.deploy(_spec(SERVER, replicas=2, ports=[Port(container_port=8000, host_port=port)]))
        await place.until(all_serving(2))
        answer = b""
        with trio.fail_after(20):
            while b"200 OK" not in answer:
                answer = await _get(bind, port)
        nursery.cancel_scope.cancel()


async def _get(host: str, port: int) -> bytes:
    """One try; b"" where there is no server yet: running does not mean listening."""
    answer = b""
    try:
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
            async for data in stream:
                answer += data
    except (OSError, trio.BrokenResourceError):
        await trio.sleep(0.1)
    return answer
