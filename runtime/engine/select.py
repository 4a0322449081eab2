"""Picks the engine that this node runs its tasks with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import anyio.to_thread
import structlog

from runtime.engine.base import Engine
from runtime.engine.docker import Docker, DockerError
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.errors import EngineUnavailable
from runtime.engine.process.engine import ProcessEngine

_log = structlog.get_logger()


async def select_engine(
    kind: Literal["auto", "docker", "process"],
    *,
    docker_host: str | None,
    data_dir: Path,
    address: str,
) -> Engine:
    """`auto` takes Docker where it answers a ping, else the embedded engine; the log says which and why.

    `docker_host` None: `$DOCKER_HOST`, then the usual socket. The embedded engine keeps its tasks under
    `data_dir` and has them listen at `address`. EngineUnavailable where `docker` is demanded and does not
    answer; ValueError for a `docker_host` that is no address.
    """
    if kind == "process":
        return await _process_engine(data_dir, address, "it was asked for")
    docker = Docker(docker_host)
    try:
        api_version = await docker.system.ping()
    except DockerError as error:
        await docker.close()
        if kind == "docker":
            raise EngineUnavailable(error.message) from error
        return await _process_engine(data_dir, address, error.message)
    except BaseException:
        await docker.close()
        raise
    why = "it was asked for" if kind == "docker" else "it answers"
    _log.info("engine_selected", engine="docker", host=docker.docker_host, api_version=api_version, why=why)
    return DockerEngine(docker)


async def _process_engine(data_dir: Path, address: str, why: str) -> Engine:
    engine = await anyio.to_thread.run_sync(lambda: ProcessEngine(data_dir, address=address))
    _log.info("engine_selected", engine="process", data_dir=str(data_dir), address=address, why=why)
    return engine
