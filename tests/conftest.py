"""What all tests share: which of them can run on this machine, and what they run on."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from consensus import fingerprint, snapshot
from consensus.fingerprint import encode_row
from tests.lab.lab import why_no_lab
from tests.support.cluster import Cluster
from tests.support.engine_api import EngineApi
from tests.support.go import why_no_go
from tests.support.images import BUSYBOX_IMAGE, BusyboxMissing, busybox_archive, find_busybox
from tests.support.orderly_end import OrderlyEnd

DOCKER_HOST_VARIABLE = "HIVEMIND_TEST_DOCKER_HOST"
_ONE_CLUSTER_EACH = ("tests/clients", "tests/conformance", "tests/e2e")
_FIRST = ("tests/e2e", "tests/integration", "tests/faults", "tests/conformance", "tests/clients")
# How long an example takes says what else the machine does.
hypothesis.settings.register_profile("hivemind", deadline=None)
hypothesis.settings.load_profile("hivemind")
_NOT_RUN = pytest.StashKey[dict[str, list[str]]]()
_LEFT_OUT = "left_out"
_FAILED = pytest.StashKey[bool]()


def why_no_docker() -> str | None:
    """Why tests marked `docker` cannot run here; None if they can."""
    docker_host = os.environ.get(DOCKER_HOST_VARIABLE)
    if not docker_host:
        return f"no Docker engine ({DOCKER_HOST_VARIABLE} is not set; scripts/test sets it)"
    engine = EngineApi(docker_host)
    if not engine.answers():
        return f"no Docker engine answers at {docker_host}"
    try:
        find_busybox()
    except BusyboxMissing as error:
        return str(error)
    return None


# ---- tests that cannot run here are left out, and named at the end


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-docker",
        action="store_true",
        help="fail if tests that need Docker, the lab or Go cannot run here",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OrderlyEnd())
    config.addinivalue_line("markers", "go: needs Go and unshare (scripts/test installs golang-go where it can)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    not_run = config.stash.setdefault(_NOT_RUN, {})
    for marker, why_not in (("docker", why_no_docker), ("lab", why_no_lab), ("go", why_no_go)):
        marked = [item for item in items if item.get_closest_marker(marker)]
        reason = why_not() if marked else None
        if reason is None:
            continue
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if item not in marked]
        not_run[reason] = [item.nodeid for item in marked]
    items.sort(key=_turn)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker left out is named by the run as a whole; every worker leaves out the same."""
    node.config.stash[_NOT_RUN] = node.workeroutput.get(_LEFT_OUT, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for reason, names in config.stash.get(_NOT_RUN, {}).items():
        terminalreporter.section(f"{len(names)} not run: {reason}", sep="-")
        for name in names:
            terminalreporter.line(name)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    left_out = session.config.stash.get(_NOT_RUN, {})
    if (worker := getattr(session.config, "workeroutput", None)) is not None:
        worker[_LEFT_OUT] = left_out
    if left_out and session.config.getoption("--require-docker"):
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED


# ---- tests that share a cluster run one after the other, in one worker, and begin before all others


def _turn(item: pytest.Item) -> int:
    """So that no worker is left with a long one while the others have nothing to do."""
    return next((turn for turn, folder in enumerate(_FIRST) if item.nodeid.startswith(f"{folder}/")), len(_FIRST))


class _ByPlace(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives a worker of xdist whole files, and whole folders where all of them share one cluster or lab, in turn."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        folder = path.rsplit("/", 1)[0]
        return folder if folder in _ONE_CLUSTER_EACH else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByPlace:
    return _ByPlace(config, log)


# ---- fixtures


@pytest.fixture(scope="session")
def docker_host() -> str:
    """Address of a Docker engine that has `busybox:local`. A test that uses it is marked `docker`."""
    docker_host = os.environ.get(DOCKER_HOST_VARIABLE)
    if not docker_host:
        pytest.fail(f"{DOCKER_HOST_VARIABLE} is not set: mark the test `docker`, and run it by scripts/test")
    engine = EngineApi(docker_host)
    if not engine.has_image(BUSYBOX_IMAGE):
        engine.load_image(busybox_archive())
    return docker_host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters of real daemons: `cluster(nodes=3, runtime="process", …)`, ready when it returns.

    They end with the test; if it failed, the last lines of every daemon's log are printed.
    """
    made: list[Cluster] = []

    def make(**settings: Any) -> Cluster:
        started = Cluster(data_dir=tmp_path / f"cluster-{len(made)}", **settings)
        made.append(started)
        started.start()
        return started

    yield make
    for each in reversed(made):
        if request.node.stash.get(_FAILED, False):
            print(each.log_tails())
        each.stop()


# ---- what every write to a replica must keep to, whoever writes it


@pytest.fixture(autouse=True, scope="session")
def _rows_are_what_a_snapshot_gives_back() -> Iterator[None]:
    """A row must encode as it does after a snapshot: an int in a float's place would make that node seem to differ."""

    def checked(table: str, key: Any, row: Any) -> bytes:
        encoded = encode_row(table, key, row)
        again = snapshot.decode_row(table, encoded)
        again = again.spec if table == "specs" else again
        assert encode_row(table, key, again) == encoded, f"{table} {key!r}: {row} comes back as {again}"
        return encoded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "encode_row", checked)
        yield
