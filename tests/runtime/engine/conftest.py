"""Engines under test.

The Docker engine is at $HIVEMIND_TEST_DOCKER_HOST, which scripts/test sets; no other engine is ever touched.
"""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import pytest
from msgspec import Struct

from runtime.engine.base import ContainerSpec, Engine
from runtime.engine.docker import Docker, DockerError
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.process.engine import ProcessEngine

_SUPPORT = Path(__file__).parents[2] / "support"


def _load_support(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests_support_{name}", _SUPPORT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def images() -> ModuleType:
    """`tests/support/images.py`."""
    return _load_support("images")


@pytest.fixture
def docker_host() -> str:
    """The Docker engine made for tests."""
    host = os.environ.get("HIVEMIND_TEST_DOCKER_HOST")
    if not host:
        pytest.fail("a Docker test was selected, but HIVEMIND_TEST_DOCKER_HOST is not set (scripts/test sets it)")
    return host


@pytest.fixture
def loopback() -> str:
    """An address of this machine that nobody else uses."""
    return f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(2, 254)}"


class Bench(Struct, frozen=True):
    """An engine, and how to make specs that only this test's cleanup touches."""

    engine: Engine
    reopen: Callable[[], Engine]
    labels: dict[str, str]

    def spec(self, script: str = "sleep 1000", **fields: object) -> ContainerSpec:
        """A spec that runs a shell script; named and labelled as this test's."""
        name = f"{self.labels['hivemind.test']}-{random.randrange(10**9)}"
        merged = {
            "name": name,
            "image": "busybox:local",
            "args": ("sh", "-c", script),
            "labels": self.labels,
            "stop_grace_s": 1.0,
            **fields,
        }
        return ContainerSpec(**merged)  # type: ignore[arg-type]


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, images: ModuleType, loopback: str
) -> AsyncIterator[Bench]:
    """Each engine in turn; every container of the test is removed after it."""
    labels = {"hivemind.test": f"t{random.randrange(10**9)}"}
    if request.param == "docker":
        host = request.getfixturevalue("docker_host")
        await _ensure_busybox(host, images)

        def open_engine() -> Engine:
            return DockerEngine(Docker(host))
    else:

        def open_engine() -> Engine:
            return ProcessEngine(tmp_path / "engine", address=loopback)

    bench = Bench(open_engine(), open_engine, labels)
    yield bench
    await bench.engine.aclose()
    engine = open_engine()
    for state in await engine.list(labels):
        await engine.remove(state.engine_id, force=True, volumes=True)
    for volume in await engine.list_volumes(labels):
        await engine.remove_volume(volume.name)
    await engine.aclose()


async def _ensure_busybox(host: str, images: ModuleType) -> None:
    async with Docker(host) as docker:
        try:
            await docker.images.inspect(images.BUSYBOX_IMAGE)
        except DockerError as error:
            if error.status != 404:
                raise
            async with docker.images.import_image(images.busybox_archive()) as documents:
                async for _ in documents:
                    continue
