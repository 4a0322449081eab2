"""`hivemind leave`: a node hands its work over, goes, and may come again as a new member."""

from __future__ import annotations

import pytest

from runtime import labels
from tests.e2e.lab_cluster import LabCluster, LabNode
from tests.support.cluster import PEER_PORT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("victim", [pytest.param("follower", marks=pytest.mark.soak), "leader"])
def test_a_node_that_leaves_takes_nothing_along_and_may_join_again(cluster: LabCluster, victim: str) -> None:
    cluster.deploy(1, "web", 6)
    leader = cluster.leader(1)
    number = leader if victim == "leader" else next(n for n in cluster.numbers if n != leader)
    others = [each for each in cluster.numbers if each != number]
    node = cluster.node(number)
    foreign = node.host.docker("run", "-d", "busybox:local", "sleep", "600")

    done = cluster.cli(number, "leave", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert node.wait(60) == 0
    cluster.wait_running(others[0], "web", 6, on=others)
    for other in others:
        names = {each["id"] for each in cluster.get(other, "/nodes")["nodes"]}
        assert names == {cluster.node(each).name for each in others}
    wait_until(lambda: node.name not in cluster.get(others[0], "/cluster")["voters"], 30, "the end of its vote")
    assert node.inspect_all() == []
    assert node.inspect(foreign)["State"]["Running"]
    node.host.docker("rm", "-f", foreign)

    _join(cluster, node, through=others[0])
    cluster.wait_ready(cluster.numbers)
    cluster.deploy(number, "news", 3)
    assert cluster.spread(others[0], "news")[number] >= 1
    (mine, *_) = node.inspect_all(app="news")
    assert mine["Config"]["Labels"][labels.NODE] == node.name
    cluster.wait_engines_agree(number, "web", 6)


def test_all_but_one_leave_one_after_the_other(cluster: LabCluster) -> None:
    """The last but one is the only voter of the two: it must not take the cluster's only vote along."""
    cluster.deploy(1, "web", 3)
    for _ in range(2):
        staying = [number for number in cluster.numbers if cluster.node(number).is_running()]
        leader = cluster.leader(staying[0])
        assert cluster.cli(leader, "leave", "--yes").returncode == 0
        assert cluster.node(leader).wait(60) == 0
        staying.remove(leader)
        for number in staying:
            cluster.wait_running(number, "web", 3, on=staying)
    (last,) = staying
    cluster.post(last, "/scale", {"name": "web", "replicas": 4})
    cluster.wait_engines_agree(last, "web", 4)
    for number in cluster.numbers:
        if number != last:
            _join(cluster, cluster.node(number), through=last)
    cluster.wait_ready(cluster.numbers)


def _join(cluster: LabCluster, node: LabNode, through: int) -> None:
    """Start its daemon on the same data-dir, as a node that joins, also where it founded the cluster before."""
    if "--admin-password-file" in node.argv:
        at = node.argv.index("--admin-password-file")
        del node.argv[at : at + 2]
        node.argv += ["--token-file", str(cluster.data_dir / "join-token")]
    node.argv += ["--join", f"{cluster.node(through).address}:{PEER_PORT}"]
    node.start()
