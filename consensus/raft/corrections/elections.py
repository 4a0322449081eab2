"""Elections that do not disturb a working cluster: pre-vote, sticky followers, terms in every reply.

Stock: a node that returns drives the term up by eleven, a refused candidate is told nothing, a vote counts twice
if it comes twice. Ours is pre-vote as in Ongaro's dissertation (section 9.6) and etcd's raft.
"""

from __future__ import annotations

import math
from typing import Any

import structlog

from ..library import CANDIDATE, FOLLOWER, Library, Message, Node

_log = structlog.get_logger()


class Elections(Library):
    """Who leads, and how that changes."""

    def __init__(self, **parts: Any) -> None:
        clock = parts["clock"]
        self._contact_s: float = clock()
        self._timeout_s: float = parts["config"].election_timeout_max_s
        self._deadline_s: float = clock() + self._timeout_s
        self._pre_votes: set[str] | None = None
        self._votes: set[str] = set()
        self.elections = 0
        super().__init__(**parts)

    @property
    def contact_age_s(self) -> float:
        """Time since this node last heard a leader."""
        return self.clock() - self._contact_s

    def elect(self) -> None:
        """The timer of followers: forget a silent leader, and seek votes."""
        if self._isLeader():
            return
        if self._SyncObj__raftLeader is not None and self.contact_age_s > self.settings.leader_fallback_s:
            self._forget_leader()
        if not self._may_lead() or self.storage_full:
            return
        if self.is_quorum({self.node_id}):
            if self._SyncObj__raftState != CANDIDATE or self.clock() >= self._deadline_s:
                self.campaign(transfer=False)
        elif self.clock() >= self._deadline_s:
            self._set_deadline()
            self._forget_leader()
            self._ask_pre_votes()

    def next_election_s(self) -> float:
        """When `elect` has something to do, if no leader is heard until then; perhaps never."""
        campaign_s = self._deadline_s if self._may_lead() and not self.storage_full else math.inf
        if self._SyncObj__raftLeader is None:
            return campaign_s
        return min(campaign_s, self._contact_s + self.settings.leader_fallback_s)

    def campaign(self, *, transfer: bool) -> None:
        """Begin a new term and ask for votes. `transfer`: the leader itself asked for this election."""
        self.elections += 1
        self._pre_votes = None
        self._set_deadline()
        self._SyncObj__raftLeader = None
        self._SyncObj__setState(CANDIDATE)
        self._SyncObj__setCurrentTerm(self.raftCurrentTerm + 1, self.node_id)
        self._votes = set()
        term = self.raftCurrentTerm
        self._ask("request_vote", term, transfer=transfer)
        self.durability.hold(lambda: self._take_vote(self.node_id, term))

    def step_down(self, term: int, why: str) -> None:
        """Follow from now on, in `term` if that is newer."""
        if self._isLeader():
            _log.info("raft_stepped_down", node_id=self.node_id, term=self.raftCurrentTerm, why=why)
            self.transport.forget_learners()
            # It has heard a quorum so lately, or it would lead no more: as fresh as a follower of it.
            self._contact_s = max(self._contact_s, self.clock() - self.settings.leader_fallback_s)
        if self._isLeader() or term > self.raftCurrentTerm:
            self._SyncObj__raftLeader = None
        if term > self.raftCurrentTerm:
            self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(FOLLOWER)
        self._set_deadline()

    def heard_leader(self) -> None:
        self._contact_s = now_s = self.clock()
        self._pre_votes = None
        self._deadline_s = now_s + self._timeout_s

    def handle(self, node: Node, message: Message) -> None:
        match message["type"]:
            case "pre_vote":
                self._on_pre_vote(node, message)
            case "pre_vote_answer":
                self._on_pre_vote_answer(node, message)
            case "request_vote":
                self._on_request_vote(node, message)
            case "response_vote":
                self._take_vote(node.id, message["term"])
            case "stale":
                if message["term"] > self.raftCurrentTerm:
                    self.step_down(message["term"], "a newer term exists")
            case "timeout_now":
                if message["term"] == self.raftCurrentTerm and node == self._getLeader() and self.is_voter():
                    self.campaign(transfer=True)
            case _:
                super().handle(node, message)

    def _SyncObj__generateRaftTimeout(self) -> float:
        """For a deadline of the library's that nobody looks at."""
        return self._timeout_s

    def _may_lead(self) -> bool:
        """Voters; and who is removed by an entry that is not committed yet, as far as it knows.

        It may be the only one that has the entry: then nobody else can be elected (Ongaro's dissertation, 4.2.2).
        """
        history = self.voter_history
        if self.is_voter():
            return True
        known_committed = max(self.raftCommitIndex, self.committed_voters_index)
        return history.latest_index > known_committed and self.node_id in history.at(history.latest_index - 1)

    def _set_deadline(self) -> None:
        """With a new timeout: drawn whenever something changes, and not for each heartbeat, of which there are many."""
        settings = self.settings
        self._timeout_s = self.rng.uniform(settings.election_timeout_min_s, settings.election_timeout_max_s)
        self._deadline_s = self.clock() + self._timeout_s

    def _forget_leader(self) -> None:
        if self._SyncObj__raftLeader is not None:
            self._SyncObj__raftLeader = None
            self._SyncObj__onLeaderChanged()

    def _ask(self, kind: str, term: int, *, transfer: bool = False) -> None:
        last = self.journal.last
        for node in self._SyncObj__otherNodes:
            message = {"type": kind, "term": term, "last_log_index": last.index, "last_log_term": last.term}
            self.transport.send(node, message | {"transfer": transfer})

    def _ask_pre_votes(self) -> None:
        self._pre_votes = {self.node_id}
        self._ask("pre_vote", self.raftCurrentTerm + 1)

    def _take_vote(self, voter: str, term: int) -> None:
        """Our own counts when it is durable: a sole voter could lead the same term again after a crash."""
        if self._SyncObj__raftState == CANDIDATE and term == self.raftCurrentTerm:
            self._votes.add(voter)
            if self.is_quorum(self._votes):
                self._SyncObj__onBecomeLeader()

    def _leader_is_fresh(self) -> bool:
        if self._isLeader():
            return True
        return self._getLeader() is not None and self.contact_age_s < self.settings.election_timeout_min_s

    def _is_up_to_date(self, message: Message) -> bool:
        last = self.journal.last
        return (message["last_log_term"], message["last_log_index"]) >= (last.term, last.index)

    def _on_pre_vote(self, node: Node, message: Message) -> None:
        term = message["term"]
        granted = term > self.raftCurrentTerm and not self._leader_is_fresh() and self._is_up_to_date(message)
        answer = {"type": "pre_vote_answer", "term": term, "granted": granted, "current": self.raftCurrentTerm}
        self.transport.send(node, answer)

    def _on_pre_vote_answer(self, node: Node, message: Message) -> None:
        if not message["granted"]:
            if message["current"] > self.raftCurrentTerm and not self._isLeader():
                self.step_down(message["current"], "a newer term exists")
        elif self._pre_votes is not None and message["term"] == self.raftCurrentTerm + 1:
            self._pre_votes.add(node.id)
            if self.is_quorum(self._pre_votes):
                self.campaign(transfer=False)

    def _on_request_vote(self, node: Node, message: Message) -> None:
        term = message["term"]
        if term > self.raftCurrentTerm:
            if self._leader_is_fresh() and not message["transfer"]:
                return
            self.step_down(term, "another node seeks votes")
        if term < self.raftCurrentTerm:
            self.transport.send(node, {"type": "stale", "term": self.raftCurrentTerm})
            return
        if self._isLeader() or self._SyncObj__votedForNodeId not in (None, node.id):
            return
        if self._is_up_to_date(message):
            if self._SyncObj__votedForNodeId is None:
                self._SyncObj__setCurrentTerm(term, node.id)
            self._set_deadline()
            self.transport.send(node, {"type": "response_vote", "term": term})
