"""The Python client against a live cluster: the reference's examples, every reading method, and losing a node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from consensus.model.app_spec import AppSpec, Port
from consensus.model.job import JobSpec
from consensus.model.workload import Resources, VolumeMount
from hivemind.client import ApiError, Basic, Client, ClientEvent, SyncClient, Token
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

BACKENDS = ("trio", "asyncio")


def _urls(cluster: Cluster) -> list[str]:
    return [node.url for node in cluster.nodes]


def test_the_examples_of_the_reference(three_nodes: Cluster) -> None:
    """Deploy, scale, restart and delete as the Go programs of the reference do."""
    app = AppSpec(
        image="nginx:latest",
        name="py-server",
        service="py.local",
        replicas=2,
        resources=Resources(cpu=0.5, memory="256M", cpu_limit=1.0, memory_limit="512M"),
        env={"ENV_VAR1": "value1"},
        volumes=[VolumeMount(name="data-volume", mount_path="/data")],
        ports=[Port(container_port=80, host_port=18081)],
        node_affinity="role=frontend",
    )
    with SyncClient(*_urls(three_nodes), credentials=Basic("admin", three_nodes.admin_password)) as client:
        deployed = client.deploy(app)
        assert (deployed.app_id, deployed.service_id, len(deployed.container_ids)) == ("py-server", "py.local", 2)
        scaled = client.scale("py-server", 5)
        assert (scaled.previous_replicas, scaled.new_replicas) == (2, 5)
        assert client.restart("py-server").name == "py-server"
        assert client.delete_app("py-server").message
        with pytest.raises(ApiError, match="py-server"):
            client.app("py-server")


@pytest.mark.parametrize("backend", BACKENDS)
def test_everything_that_can_be_read(three_nodes: Cluster, backend: str) -> None:
    name = f"read-{backend}"
    spec = {"name": name, "image": "busybox", "command": ["sh", "-c", "echo hello; exec sleep 600"]}
    node_id = three_nodes.node(2).name

    async def main() -> None:
        async with Client(*_urls(three_nodes)) as client:
            await client.login("admin", three_nodes.admin_password)
            container_id = (await client.deploy(spec)).container_ids[0]
            await _until(lambda: _runs(client, container_id))
            assert (await client.containers(app=name, limit=1)).items[0].id == container_id
            await _until(lambda: _has_said_hello(client, container_id))
            async with client.follow_logs(container_id) as lines:
                assert await anext(lines) == "hello"
            assert (await client.stats(container_id)).memory_usage > 0
            assert (await client.container_health(container_id)).id == container_id
            assert (await client.app(name)).containers[0].id == container_id
            assert name in [app.name for app in (await client.apps(sort="name", order="desc")).items]
            assert (await client.service(name)).domain == name
            assert (await client.services()).total >= 1
            await client.create_volume(f"v-{backend}", size="1G", labels={"a": "b"})
            assert (await client.volume(f"v-{backend}")).labels == {"a": "b"}
            assert f"v-{backend}" in [volume.name for volume in (await client.volumes()).items]
            await client.delete_volume(f"v-{backend}")
            assert len((await client.nodes()).items) == 3
            assert (await client.node(node_id)).network.overlay_status == "disabled"
            assert (await client.node_health(node_id)).id == node_id
            assert (await client.health()).components["nodes"].total == 3
            assert (await client.cluster()).leader
            assert (await client.join_token()).startswith("hm1.")
            assert (await client.alerts()).items == []
            assert "hivemind_node_count" in await client.metrics()
            assert (await client.users()).items[0].username == "admin"
            key = await client.create_api_key(f"key-{backend}", role="viewer", expires_in="1h")
            assert key.key is not None
            assert [each.id for each in (await client.api_keys(name=key.name)).items] == [key.id]
            await client.delete_api_key(key.id)
            await _jobs(client, f"job-{backend}")
            await client.delete_app(name)
            await client.logout()
            with pytest.raises(ApiError) as refused:
                await client.apps()
            assert refused.value.status == 401

    anyio.run(main, backend=backend)


async def _jobs(client: Client, name: str) -> None:
    command = ["sh", "-c", "echo hello; exec sleep 600"]
    spec = JobSpec(name=name, image="busybox", command=command, schedule="@yearly")
    assert (await client.create_job(spec)).run_id is None
    assert (await client.update_job(replace(spec, backoff_limit=1))).name == name
    assert (await client.job(name)).spec["backoff_limit"] == 1
    assert name in [job.name for job in (await client.jobs(limit=100)).items]
    run_id = (await client.trigger_job(name)).run_id
    assert run_id is not None
    async with client.follow_run_logs(name, run_id) as lines:
        assert (await anext(lines)).endswith("hello")
    with pytest.raises(ApiError) as refused:
        await client.delete_run(name, run_id)
    assert refused.value.status == 409
    await client.stop_run(name, run_id)
    run = await client.run(name, run_id)
    assert (run.status, len(run.containers)) == ("stopped", 1)
    assert [each.id for each in (await client.runs(name)).items] == [run_id]
    assert "hello" in await client.run_logs(name, run_id)
    await client.suspend_job(name)
    assert (await client.job(name)).suspended
    await client.resume_job(name)
    await client.delete_run(name, run_id)
    await client.delete_job(name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_reads_writes_and_events_survive_a_killed_node(three_nodes: Cluster, admin_token: str, backend: str) -> None:
    """The client is at node 3 when it is killed; what it was doing goes on at another."""
    urls = _urls(three_nodes)[::-1]
    events: list[ClientEvent] = []

    async def have_created(number: int) -> bool:
        return sum(event.type == "container_created" for event in events) >= number

    async def listen(client: Client, listening: anyio.Event) -> None:
        async with aclosing(client.events(resources=["app/survivor"])) as stream:
            listening.set()
            async for event in stream:
                events.append(event)

    async def main() -> None:
        listening = anyio.Event()
        async with Client(*urls, credentials=Token(admin_token)) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(listen, client, listening)
            await listening.wait()
            await client.deploy({"name": "survivor", "image": "busybox", "command": ["sleep", "600"]})
            await _until(lambda: have_created(1))
            await anyio.to_thread.run_sync(three_nodes.node(3).kill9)
            assert (await client.app("survivor")).name == "survivor"
            assert (await client.scale("survivor", 2)).previous_replicas == 1
            await _until(lambda: have_created(2))
            await client.delete_app("survivor")
            assert client.server == urls[1]
            tasks.cancel_scope.cancel()

    try:
        anyio.run(main, backend=backend)
    finally:
        if not three_nodes.node(3).is_running():
            three_nodes.node(3).start()
        three_nodes.wait_ready([1, 2, 3])
    ids = [event.id for event in events]
    assert len(ids) == len(set(ids))


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(30):
        while not await condition():  # noqa: ASYNC110 (it is at the other end)
            await anyio.sleep(0.05)


async def _runs(client: Client, container_id: str) -> bool:
    return (await client.container(container_id)).status == "running"


async def _has_said_hello(client: Client, container_id: str) -> bool:
    return await client.logs(container_id, tail=1) == "hello\n"


def test_a_write_that_was_answered_by_nobody_is_done_once(three_nodes: Cluster, admin_token: str) -> None:
    """The same request with the same key, at three nodes: one volume is made, and all get the same answer."""
    answers: list[Any] = []
    for node in three_nodes.nodes:
        with SyncClient(node.url, credentials=Token(admin_token)) as client:
            answer = client.request("POST", "/volumes/create", body={"name": "once"}, headers={"Idempotency-Key": "k"})
            answers.append(answer.data)
    assert answers == [answers[0]] * 3
    with SyncClient(three_nodes.node(1).url, credentials=Token(admin_token)) as client:
        assert client.volumes(name="once").total == 1
        client.delete_volume("once")


def test_waiting_follows_events_too(three_nodes: Cluster, admin_token: str) -> None:
    with SyncClient(three_nodes.node(1).url, credentials=Token(admin_token)) as client:
        client.deploy({"name": "seen", "image": "busybox", "command": ["sleep", "600"]})
        newest = client.remembered_events(resources=["app/seen"], limit=1000)
        assert [event.type for event in newest.items][:1] == ["service_updated"]
        stream = client.events(resources=["app/seen"], since=newest.items[0].id)
        assert next(stream).type == "container_created"
        stream.close()
        wait_until(lambda: client.app("seen").running_replicas == 1, 30.0)
        client.delete_app("seen")
