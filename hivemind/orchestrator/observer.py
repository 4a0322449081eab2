"""What this leader has observed of each node: the evidence on which it is judged. Bookkeeping only; no I/O.

Durations are measured on this leader's monotonic clock, from when it first looked: wall clocks of different leaders
differ, and a new leader has heard nobody yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from consensus.model.node import Node, NodeStatus
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.members import MemberState, MemberView


class Evidence(Struct, frozen=True, kw_only=True):
    """About one node.

    Attributes:
        view: what gossip says; None where it knows nothing of the node.
        in_status_s: for how long the node has had its agreed status, as far as this leader has seen.
        silent_s: since when the peer channel, asked, has not answered; None while it is not asked.
        answers: the last that was heard since it is asked is an answer.
    """

    view: MemberView | None = None
    in_status_s: float = 0.0
    silent_s: float | None = None
    answers: bool = False


class _Asked(Struct):
    heard_s: float
    answered: bool = False


class Observer:
    """Written by the loop that leads, for one term."""

    def __init__(self, self_id: str, config: OrchestratorConfig) -> None:
        self._self_id = self_id
        self._config = config
        self._views: Mapping[str, MemberView] = {}
        self._since_s: dict[str, tuple[NodeStatus, float]] = {}
        self._asked: dict[str, _Asked] = {}

    def look(self, nodes: Iterable[Node], views: Mapping[str, MemberView], now_s: float) -> frozenset[str]:
        """Takes the news in. Returns the ids of the doubted nodes, which shall be asked over the peer channel."""
        self._views = views
        since_s: dict[str, tuple[NodeStatus, float]] = {}
        doubted = set()
        for node in nodes:
            before = self._since_s.get(node.id)
            since_s[node.id] = before if before is not None and before[0] is node.status else (node.status, now_s)
            if node.id != self._self_id and self._doubted(node, now_s - since_s[node.id][1]):
                doubted.add(node.id)
        self._since_s = since_s
        self._asked = {node_id: self._asked.get(node_id) or _Asked(now_s) for node_id in doubted}
        return frozenset(doubted)

    def _doubted(self, node: Node, in_status_s: float) -> bool:
        view = self._views.get(node.id)
        if node.status is NodeStatus.READY:
            if view is None:
                return in_status_s >= self._config.unheard_grace_s
            return view.state is not MemberState.ALIVE
        if node.status is NodeStatus.RESTARTING:
            return True
        return node.status is NodeStatus.LOST and is_back(node, view)

    def answered(self, node_id: str, now_s: float) -> None:
        """The peer channel answered a ping."""
        asked = self._asked.get(node_id)
        if asked is not None:
            asked.heard_s, asked.answered = now_s, True

    def unanswered(self, node_id: str) -> None:
        """A ping came to nothing."""
        asked = self._asked.get(node_id)
        if asked is not None:
            asked.answered = False

    def evidence(self, now_s: float) -> dict[str, Evidence]:
        """By node id, of all nodes of the last look."""
        return {node_id: self._evidence(node_id, since_s, now_s) for node_id, (_, since_s) in self._since_s.items()}

    def _evidence(self, node_id: str, since_s: float, now_s: float) -> Evidence:
        view, in_status_s = self._views.get(node_id), now_s - since_s
        if node_id == self._self_id:
            return Evidence(view=view, in_status_s=in_status_s, answers=True)
        asked = self._asked.get(node_id)
        if asked is None:
            return Evidence(view=view, in_status_s=in_status_s)
        return Evidence(
            view=view, in_status_s=in_status_s, silent_s=max(0.0, now_s - asked.heard_s), answers=asked.answered
        )

    def deadlines_s(self) -> list[float]:
        """Instants at which time alone may change a verdict."""
        config = self._config
        deadlines_s = [
            asked.heard_s + factor * config.lost_after_s for asked in self._asked.values() for factor in (0.5, 1)
        ]
        for node_id, (status, since_s) in self._since_s.items():
            if status is NodeStatus.RESTARTING:
                deadlines_s.append(since_s + config.restart_grace_s)
            elif status is NodeStatus.LOST:
                deadlines_s += [since_s + config.settle_s, since_s + config.voter_grace_s]
            elif status is NodeStatus.READY:
                deadlines_s.append(since_s + config.settle_s)
                if node_id not in self._views:
                    deadlines_s.append(since_s + config.unheard_grace_s)
        return deadlines_s


def is_back(node: Node, view: MemberView | None) -> bool:
    """Whether gossip hears the very run of the daemon that the cluster knows, and that run means to stay.

    Another run says so itself, by StartNode.
    """
    return view is not None and view.state is MemberState.ALIVE and not view.restarting and view.boot_id == node.boot_id
