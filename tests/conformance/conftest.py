"""One live three-node cluster for the whole suite, and the count of what conforms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.cases import operations
from tests.conformance.missing import MISSING
from tests.conformance.world import World
from tests.support.cluster import Cluster

FOUND: dict[str, str] = {}
"""What the run found of each operation: conforms, missing, or wrong."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every node has the label that the reference's deploy asks for."""
    folder: Path = tmp_path_factory.mktemp("conformance")
    with Cluster(data_dir=folder, nodes=3, options=["--label", "role=frontend"]) as cluster:
        world = World(cluster)
        try:
            world.open()
            yield world
        finally:
            world.close()


@pytest.fixture(scope="session")
def found() -> dict[str, str]:
    return FOUND


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not FOUND:
        return
    conform = sum(state == "conforms" for state in FOUND.values())
    terminalreporter.section(f"{conform} of {len(operations())} operations of the reference conform", sep="-")
    for domain, names in MISSING.items():
        absent = [name for name in names if FOUND.get(name) == "missing"]
        there = [name for name in names if FOUND.get(name) == "conforms"]
        if absent:
            terminalreporter.line(f"missing, {domain}: {', '.join(absent)}")
        if there:
            terminalreporter.line(f"there now, to be taken off missing.py, {domain}: {', '.join(there)}")
