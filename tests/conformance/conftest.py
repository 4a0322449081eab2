"""One live three-node cluster for the whole suite, and the count of what conforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.cases import operations
from tests.conformance.missing import MISSING
from tests.conformance.world import World
from tests.support.cluster import Cluster
from tests.support.recorded import recorded

_OPERATION = "operation: "


@pytest.fixture(scope="package")
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


@pytest.fixture
def found(record_property: Callable[[str, object], None]) -> Iterator[dict[str, str]]:
    """What a test finds of each operation: conforms, missing, or wrong."""
    states: dict[str, str] = {}
    yield states
    for operation, state in states.items():
        record_property(f"{_OPERATION}{operation}", state)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found: dict[str, str] = {}
    for name, state in recorded(terminalreporter):
        if name.startswith(_OPERATION) and found.get(name.removeprefix(_OPERATION)) != "wrong":
            found[name.removeprefix(_OPERATION)] = state
    if not found:
        return
    conform = sum(state == "conforms" for state in found.values())
    terminalreporter.section(f"{conform} of {len(operations())} operations of the reference conform", sep="-")
    for domain, names in MISSING.items():
        absent = [name for name in names if found.get(name) == "missing"]
        there = [name for name in names if found.get(name) == "conforms"]
        if absent:
            terminalreporter.line(f"missing, {domain}: {', '.join(absent)}")
        if there:
            terminalreporter.line(f"there now, to be taken off missing.py, {domain}: {', '.join(there)}")
