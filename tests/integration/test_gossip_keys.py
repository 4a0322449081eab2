"""Gossip keys rotated on real daemons, without a restart (issue 3, "Keyring")."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.support.cluster import Cluster
from tests.support.leaders import wait_whole
from tests.support.waiting import wait_until

PROBES_S = 1.5
"""Each node probes another once a second."""


def keys(cluster: Cluster, number: int, *arguments: str) -> Any:
    done = cluster.cli(number, "cluster", "keys", *arguments, "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def rejected(cluster: Cluster) -> list[float]:
    """Packets that each node could not open."""
    return [metric(cluster, node.number, "gossip_packets_rejected_total") for node in cluster.nodes]


def metric(cluster: Cluster, number: int, name: str) -> float:
    with cluster.client(number) as client:
        found = re.search(rf"^hivemind_{name} (\S+)$", client.get("/api/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_keys_rotate_by_hand_and_at_once_and_no_packet_is_lost(three: Cluster) -> None:
    names = sorted(node.name for node in three.nodes)
    before = rejected(three)
    [old] = [key["fingerprint"] for key in keys(three, 1, "ls")]
    new = keys(three, 2, "install")["fingerprint"]
    refused = three.cli(3, "cluster", "keys", "remove", old)
    assert refused.returncode == 7, "the key in use"
    assert "use another one first" in refused.stderr
    keys(three, 3, "use", new)
    time.sleep(PROBES_S)
    keys(three, 1, "remove", old)
    time.sleep(PROBES_S)
    assert [(key["fingerprint"], key["used_by"], key["held_by"]) for key in keys(three, 2, "ls")] == [
        (new, names, names)
    ]
    rotated = keys(three, 1, "rotate")["fingerprint"]
    assert rotated != new
    time.sleep(PROBES_S)
    assert rejected(three) == before
    assert metric(three, 1, "gossip_rtt_seconds_count") > 0


def test_a_node_that_was_away_takes_the_new_key_and_keeps_it(three: Cluster) -> None:
    away = three.node(3)
    away.sigterm()
    wait_until(lambda: metric(three, 1, 'gossip_members{state="alive"}') == 2, 30, "it is gone", poll_s=0.2)
    new = keys(three, 1, "rotate")["fingerprint"]
    away.start()
    wait_whole(three)
    wait_until(lambda: [k["fingerprint"] for k in keys(three, 3, "ls")] == [new], 20, "one key everywhere")
    for node in three.nodes:
        node.sigterm()
    for node in three.nodes:
        node.start()
    wait_whole(three)
    assert [key["fingerprint"] for key in keys(three, 1, "ls")] == [new], "kept over a restart of all"
    assert rejected(three) == [0.0] * 3
