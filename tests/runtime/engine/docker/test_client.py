"""The client's nouns against a real engine, under trio and asyncio."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import anyio
import pytest

from runtime.engine.docker import Docker, DockerError

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_round_of_all_nouns(docker_host: str, images: ModuleType, backend: str) -> None:
    async def main() -> None:
        with anyio.fail_after(60):
            async with Docker(docker_host) as docker:
                await round_trip(docker, images)

    anyio.run(main, backend=backend)


async def round_trip(docker: Docker, images: ModuleType) -> None:
    mark = f"c{random.randrange(10**9)}"
    assert (await docker.version())["ApiVersion"] == await docker.system.ping()
    async with docker.images.import_image(images.busybox_archive(f"{mark}:1")) as documents:
        assert [document async for document in documents]
    await docker.images.tag(f"{mark}:1", mark, tag="2")
    assert (await docker.images.inspect(f"{mark}:2"))["Id"] == (await docker.images.inspect(f"{mark}:1"))["Id"]
    network = await docker.networks.create({"Name": mark, "Internal": True})
    volume = await docker.volumes.create({"Name": mark})
    container = await docker.containers.create(
        {"Image": f"{mark}:1", "Cmd": ["sh", "-c", "cat; exit 4"], "OpenStdin": True, "StdinOnce": True}, name=mark
    )
    try:
        await attach_and_wait(container)
        assert [other.id for other in await docker.containers.list(all=True, filters={"name": [mark]})] == [
            container.id
        ]
        assert (await docker.containers.get(mark))["State"]["ExitCode"] == 4
        assert (await network.show())["Internal"]
        assert (await volume.show())["Name"] == mark
    finally:
        await container.delete(force=True, v=True)
        await volume.delete()
        await network.delete()
        for tag in ("1", "2"):
            await docker.images.delete(f"{mark}:{tag}")
    with pytest.raises(DockerError, match="No such") as failure:
        await docker.containers.get(mark)
    assert failure.value.status == 404


async def attach_and_wait(container: Any) -> None:
    async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
        await container.start()
        await stream.write_in(b"hello")
        message = await stream.read_out()
        assert (message.stream, message.data) == (1, b"hello")
        await stream.write_eof()
        assert await stream.read_out() is None
    assert (await container.wait())["StatusCode"] == 4
