"""Encryption of the overlay: only where all can, and as long as a policy requires it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus import commands as c
from consensus.model.network import Capability, Encryption, OverlayMode, OverlayReport, OverlayStatus
from consensus.model.network_policy import NetworkPolicy
from consensus.model.node import NodeStatus
from consensus.outcomes import Refusal
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts

_ON, _OFF = c.EncryptOverlay(Encryption.WIREGUARD), c.EncryptOverlay(Encryption.OFF)
_STRICT = NetworkPolicy(name="sealed", encryption_required=True)
_CAN, _CANNOT = Capability("wireguard", True, "the kernel's"), Capability("wireguard", False, "missing: wg")


def _feed(*second: Capability, key: str = "key") -> Feed:
    """Two ready nodes; the second has told of these capabilities."""
    feed = Feed()
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
    for number, own_key, told in ((1, "key", (_CAN,)), (2, key, second)):
        part = replace(facts(number), overlay=OverlayMode.VXLAN, overlay_key=own_key)
        feed.accepted(c.AddNode(f"n{number}", part), c.StartNode(f"n{number}", "b1", part))
        feed.accepted(c.ReportOverlay(f"n{number}", "b1", OverlayReport(OverlayStatus.CONNECTED, "", told)))
    return feed


def _encryption(feed: Feed) -> Encryption:
    assert feed.state.cluster is not None
    return feed.state.cluster.network.encryption


def _refusal(feed: Feed, command: c.Command) -> str:
    outcome = feed(command)  # type: ignore[arg-type]
    assert isinstance(outcome, Refusal)
    return outcome.message


def test_it_is_turned_on_where_every_node_can_and_required_from_then_on() -> None:
    feed = _feed(_CAN)
    refused = _refusal(feed, c.CreateNetworkPolicy(_STRICT))
    assert refused.startswith("encryption_required: traffic between containers is not encrypted")
    feed.accepted(_ON, c.CreateNetworkPolicy(_STRICT))
    assert _encryption(feed) is Encryption.WIREGUARD
    assert "policy 'sealed' has encryption_required" in _refusal(feed, _OFF)
    feed.accepted(c.UpdateNetworkPolicy(replace(_STRICT, encryption_required=False)), _OFF)
    assert _refusal(feed, c.UpdateNetworkPolicy(_STRICT)).startswith("encryption_required: ")
    assert _encryption(feed) is Encryption.OFF


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        (_feed(_CANNOT), "node 'n2' cannot encrypt: missing: wg"),
        (_feed(), "node 'n2' cannot encrypt: it has not told what its machine has; upgrade it"),
        (_feed(_CAN, key=""), "node 'n2' cannot encrypt: it has no key; upgrade it"),
    ],
)
def test_one_node_that_cannot_is_named_with_the_reason(feed: Feed, reason: str) -> None:
    assert _refusal(feed, _ON) == reason
    assert _encryption(feed) is Encryption.OFF


def test_a_node_that_is_away_does_not_hinder_and_one_that_starts_is_waited_for() -> None:
    feed = _feed(_CANNOT)
    part = replace(facts(2), overlay=OverlayMode.VXLAN, overlay_key="key")
    feed.accepted(c.StartNode("n2", "b2", part))
    assert _refusal(feed, _ON).endswith("its daemon is starting and has not told what its machine has; try again")
    feed.accepted(c.SetNodeStatus("n2", expected=NodeStatus.READY, status=NodeStatus.LOST), _ON)
    assert _encryption(feed) is Encryption.WIREGUARD
