"""Which engine a node gets, and what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from runtime.engine.errors import EngineUnavailable
from runtime.engine.select import select_engine


@pytest.mark.parametrize("kind", ["auto", "process"])
async def test_process_where_docker_does_not_answer(kind: str, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        engine = await select_engine(
            kind,  # type: ignore[arg-type]
            docker_host=f"unix://{tmp_path}/none.sock",
            data_dir=tmp_path,
            address="127.0.0.1",
        )
    assert engine.name == "process"
    assert logs[-1]["engine"] == "process"
    assert ("none.sock" if kind == "auto" else "asked for") in logs[-1]["why"]


async def test_docker_that_is_demanded_and_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"none\.sock"):
        await select_engine(
            "docker", docker_host=f"unix://{tmp_path}/none.sock", data_dir=tmp_path, address="127.0.0.1"
        )


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["auto", "docker"])
async def test_docker_where_it_answers(kind: str, tmp_path: Path, docker_host: str) -> None:
    engine = await select_engine(
        kind,  # type: ignore[arg-type]
        docker_host=docker_host,
        data_dir=tmp_path,
        address="127.0.0.1",
    )
    assert engine.name == "docker"
    await engine.aclose()
