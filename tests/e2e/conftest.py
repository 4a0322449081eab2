"""One lab for all, and a cluster on it for each module that asks: that takes about 4 s."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab_cluster import LabCluster
from tests.lab.lab import Lab


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    with Lab(3) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """Three daemons with the default settings. A test leaves all of them ready behind, or fails."""
    with LabCluster(lab, data_dir=tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(autouse=True)
def _whole_cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds every daemon ready and no app of another; a failed one shows the daemons' logs."""
    if "cluster" not in request.fixturenames:
        yield
        return
    cluster: LabCluster = request.getfixturevalue("cluster")
    failures = request.session.testsfailed
    yield
    try:
        _put_in_order(cluster)
    finally:
        if request.session.testsfailed > failures:
            print(cluster.log_tails())


def _put_in_order(cluster: LabCluster) -> None:
    cluster.lab.unpartition()
    for number in cluster.numbers:
        node = cluster.node(number)
        node.host.heal()
        if node.host.init_pid() is None:
            node.host.start_host()
        node.host.resume()
        node.host.start_engine()
        node.sigcont()
        if not node.is_running():
            node.start()
    cluster.wait_ready(cluster.numbers)
    for app in cluster.get(1, "/apps", limit=1000)["apps"]:
        cluster.delete(1, f"/apps/{app['name']}")
        cluster.wait_no_containers(app["name"])
