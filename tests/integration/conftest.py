"""Clusters of real daemons with the process engine, and the figures that the tests measure on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.support.cluster import Cluster
from tests.support.leaders import wait_whole
from tests.support.recorded import recorded

_MEASURED = "measured"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells a figure, which is printed in the last lines of the run."""
    return partial(record_property, _MEASURED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures := [line for name, line in recorded(terminalreporter) if name == _MEASURED]:
        terminalreporter.section("measured", sep="-")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that all vote, shared by a module; a test leaves them whole."""
    with Cluster(data_dir=tmp_path_factory.mktemp("cluster")) as cluster:
        wait_whole(cluster)
        yield cluster
