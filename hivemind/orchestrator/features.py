"""The cluster's feature level follows its nodes: raised when the last of them knows a newer one."""

from __future__ import annotations

from consensus.commands import RaiseFeatureLevel
from consensus.state import State


def plan(state: State) -> list[RaiseFeatureLevel]:
    """Nodes that are away count, too: they come back as they were."""
    known = min((node.facts.feature_level for node in state.nodes.values()), default=0)
    return [RaiseFeatureLevel(known)] if state.cluster is not None and known > state.feature_level else []
