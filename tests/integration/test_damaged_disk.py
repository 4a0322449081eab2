"""Issue 4, bar 2 on real daemons: each kind of damage on the disk of a stopped node of three, one after the other.

It comes back complete, or it ends with a message that names the file and the way out, each time, and the others go on.
What it was before it is again when its files are put back.

    ./scripts/test tests/integration/test_damaged_disk.py -m soak -n 0
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.raft.segment import segment_numbers
from consensus.raft.votes import load_votes
from tests.support.cluster import Cluster, Node
from tests.support.damages import DAMAGES, HEALS
from tests.support.leaders import NOT_YET, followers, leader, status, wait_whole
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
PROGRAM = (sys.executable, "-m", "tests.support.small_log_daemon")
WRITES = 320
COVERED = {"first two segments missing"}
"""Here the snapshot covers these, too: nothing is lost."""


def write(cluster: Cluster, number: int, name: str) -> None:
    with cluster.client(number, timeout_s=30) as client:
        assert client.post("/api/volumes/create", json={"name": name}).status_code == 201


def volumes(cluster: Cluster, number: int) -> set[str]:
    """By the node's own replica."""
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get("/api/volumes", params={"limit": 1000})
        return {item["name"] for item in answer.json()["data"]["volumes"]}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three that vote, each with a snapshot and a log of many segments."""
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(data_dir=folder, program=PROGRAM, options=["--preset", "local"]) as cluster:
        wait_whole(cluster)
        chief = leader(cluster)
        with cluster.client(chief.number, timeout_s=30) as client:
            for number in range(WRITES):
                assert client.post("/api/volumes/create", json={"name": f"before-{number}"}).status_code == 201
        for node in cluster.nodes:
            raft = node.data_dir / "raft"
            wait_until(lambda raft=raft: (raft / "snapshot").exists(), 30, "a snapshot")  # type: ignore[misc]
            assert len(segment_numbers(raft / "log")) > 5
        yield cluster


def outcome(cluster: Cluster, node: Node) -> str:
    """Start the node: whether it `serves`, or has `ended`."""
    node.start()

    def decided() -> str | None:
        if not node.is_running():
            return "ended"
        return "serves" if status(cluster, node.number) else None

    return str(wait_until(decided, 60, f"{node.name} serves or ends", errors=NOT_YET, poll_s=0.2))


def wait_level(cluster: Cluster, node: Node, names: set[str]) -> None:
    wait_whole(cluster)
    wait_until(lambda: volumes(cluster, node.number) == names, 30, f"{node.name} has everything", poll_s=0.2)


@pytest.mark.parametrize("kind", DAMAGES)
def test_it_is_complete_again_or_refuses(filled: Cluster, kind: str, tmp_path: Path) -> None:
    victim = followers(filled)[0]
    victim.kill9()
    raft, kept = victim.data_dir / "raft", tmp_path / "kept"
    shutil.copytree(raft, kept)
    term, chief = load_votes(raft / "votes").votes.term, next(n for n in filled.nodes if n is not victim)
    write(filled, chief.number, f"meanwhile-{kind.replace(' ', '-').replace(chr(39), '')}")
    names = volumes(filled, leader(filled, [n.number for n in filled.nodes if n is not victim]).number)
    DAMAGES[kind](raft)
    if kind in HEALS | COVERED:
        assert outcome(filled, victim) == "serves", victim.log_tail()
    else:
        for _ in range(2):
            said_before = victim.log.stat().st_size
            assert outcome(filled, victim) == "ended", "it must not serve from damaged files"
            assert victim.wait() != 0
            said = victim.log.read_text(errors="replace")[said_before:]
            assert str(victim.data_dir) in said, said[-2000:]
            assert "Way out" in said or "restore it from a backup" in said, said[-2000:]
        assert volumes(filled, chief.number) >= names, "the others go on"
        shutil.rmtree(raft)
        shutil.copytree(kept, raft)
        assert outcome(filled, victim) == "serves", victim.log_tail()
    wait_level(filled, victim, names)
    assert load_votes(raft / "votes").votes.term >= term, "no vote is forgotten"
