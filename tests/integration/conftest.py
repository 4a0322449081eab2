"""Clusters of real daemons with the process engine, and the figures that the tests measure on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.leaders import wait_whole

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells a figure, which is printed in the last lines of the run."""
    figures = request.config.stash.setdefault(_FIGURES, [])
    return figures.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("measured", sep="-")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that all vote, shared by a module; a test leaves them whole."""
    with Cluster(data_dir=tmp_path_factory.mktemp("cluster")) as cluster:
        wait_whole(cluster)
        yield cluster
