"""A real engine and a registry: what a tag means there, and images that are asked for by digest."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from consensus.model.image import ImageFound
from runtime.engine.base import ContainerSpec
from runtime.engine.docker import Docker
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.docker_values import image_found, is_of_registry
from runtime.engine.errors import EngineError, ImageNotFound
from tests.support.images import BUSYBOX_IMAGE
from tests.support.registry import Registry


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
async def docker(docker_host: str) -> AsyncIterator[Docker]:
    async with Docker(docker_host) as client:
        yield client


def test_what_never_came_from_its_registry() -> None:
    """An image that got another name here, or was loaded."""
    pulled = {"RepoDigests": ["nginx@sha256:1", "quay.io/team/web@sha256:2"]}
    assert is_of_registry("nginx:1.27", pulled)
    assert is_of_registry("docker.io/library/nginx", pulled)
    assert is_of_registry("quay.io/team/web:3", pulled)
    assert not is_of_registry("web:3", pulled)
    assert not is_of_registry("nginx", {"RepoDigests": None})


def test_architectures_of_what_a_registry_has() -> None:
    """Of an index as buildx makes it: each image has an attestation beside it."""
    platforms = [
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "amd64", "os": "windows"},
        {"architecture": "unknown", "os": "unknown"},
        {"architecture": "arm", "os": "linux", "variant": "v6"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    document = {"Descriptor": {"digest": "sha256:1"}, "Platforms": platforms}
    assert image_found(document) == ImageFound("sha256:1", ["amd64", "arm", "arm64"])
    assert image_found({"Descriptor": {"digest": "sha256:1"}, "Platforms": None}).architectures == []


@pytest.mark.docker
async def test_pinned_images_of_a_real_engine(docker: Docker, registry: Registry) -> None:
    engine, name = DockerEngine(docker), f"{registry.host}/t{secrets.token_hex(4)}"
    path = name.removeprefix(f"{registry.host}/")
    assert await engine.look_up(BUSYBOX_IMAGE) is None
    old = registry.push(f"{path}:1", VERSION="old")
    assert await engine.look_up(f"{name}:1") == ImageFound(old, ["amd64", "arm64"])
    assert not await docker.images.list(filters={"reference": [name]})
    new = registry.push(f"{path}:1", VERSION="new")
    assert await engine.look_up(f"{name}:1") == ImageFound(new, ["amd64", "arm64"])
    with pytest.raises(ImageNotFound, match="manifest unknown"):
        await engine.look_up(f"{name}:2")
    asked = f"{name}:1@{old}"
    try:
        ref = await engine.ensure_image(asked)
        assert ref.digest == old
        registry.close()
        # It is here: nobody is asked for it any more.
        assert await engine.ensure_image(asked) == ref
        engine_id = await engine.create(ContainerSpec(name=path, image=asked, args=("true",)))
        try:
            shown = await docker.containers.container(engine_id).show()
            assert (shown["Config"]["Image"], shown["Image"]) == (asked, ref.image_id)
            assert "VERSION=old" in shown["Config"]["Env"]
        finally:
            await engine.remove(engine_id)
        with pytest.raises(EngineError, match="connection refused"):
            await engine.look_up(f"{name}:1")
    finally:
        await docker.images.delete(asked, force=True)
