"""The safety properties of the Raft paper's figure 3, checked step by step, whatever the log's length."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from consensus.raft.record import Entry

if TYPE_CHECKING:
    from tests.consensus.raft.simulation.world import SimulatedNode


class Violation(AssertionError):
    pass


def must(true: bool, what: str) -> None:
    if not true:
        raise Violation(what)


class Properties:
    """What was ever seen anywhere."""

    def __init__(self) -> None:
        self.leaders: dict[int, str] = {}
        self.votes: dict[tuple[str, int], str] = {}
        self.entries: dict[tuple[int, int], tuple[bytes, int]] = {}
        self.committed: list[int] = [0, 0]
        """Terms by index, from 1."""
        self.commands: dict[int, bytes] = {}
        self.digests: dict[int, int] = {1: 0}
        self.terms: dict[str, int] = {}

    def voted(self, voter: str, term: int, candidate: str) -> None:
        """One vote a term, over every crash."""
        first = self.votes.setdefault((voter, term), candidate)
        must(first == candidate, f"{voter} voted for {first} and {candidate} in term {term}")

    def added(self, node: str, previous: Entry, entry: Entry) -> None:
        """Log matching: what (index, term) names is the same everywhere, and so is what comes before it."""
        known = self.entries.setdefault((entry.index, entry.term), (entry.command, previous.term))
        must(known == (entry.command, previous.term), f"entry {entry.index} of term {entry.term} differs at {node}")
        must(entry.index == previous.index + 1, f"{node} has entry {entry.index} after {previous.index}")

    def cut(self, node: SimulatedNode, last_index: int) -> None:
        """Leader append-only; and nobody cuts what it knows to be committed."""
        must(not node.core._isLeader(), f"{node.name} leads and cuts its log")
        must(last_index >= node.core.raftCommitIndex, f"{node.name} cuts committed entries after {last_index}")

    def applied(self, node: str, index: int, command: bytes, digest: int) -> int:
        """State machine safety: the same commands in the same order. Returns the digest after it."""
        must(self.commands.setdefault(index, command) == command, f"{node} applied another entry {index}")
        after = zlib.crc32(command, zlib.crc32(b"%d" % index, digest))
        must(self.digests.setdefault(index, after) == after, f"the state of {node} at {index} differs")
        return after

    def look(self, node: SimulatedNode) -> None:
        """After every step of a node."""
        core, journal = node.core, node.core.journal
        term = core.raftCurrentTerm
        must(term >= self.terms.get(node.name, 0), f"{node.name} forgot term {self.terms.get(node.name)}")
        commit = core.raftCommitIndex
        must(commit <= journal.last.index, f"{node.name} committed {commit} beyond its log")
        must(core.raftLastApplied <= commit, f"{node.name} applied beyond its commit index")
        for index in range(max(len(self.committed), journal.first.index), commit + 1):
            must(
                index == len(self.committed), f"{node.name} committed {index} before anybody had {len(self.committed)}"
            )
            self.committed.append(journal.at(index).term)
        for index in range(max(node.looked_at, journal.first.index), commit + 1):
            must(journal.at(index).term == self.committed[index], f"{node.name} committed another entry {index}")
        node.looked_at = max(node.looked_at, commit)
        if core._isLeader() and self.leaders.get(term) != node.name:
            first = self.leaders.setdefault(term, node.name)
            must(first == node.name, f"{first} and {node.name} lead in term {term}")
            self._complete(node)

    def _complete(self, node: SimulatedNode) -> None:
        """Leader completeness: whoever is elected has all that was ever committed."""
        journal = node.core.journal
        must(journal.last.index >= len(self.committed) - 1, f"{node.name} leads and lacks committed entries")
        for index in range(journal.first.index, len(self.committed)):
            must(journal.at(index).term == self.committed[index], f"{node.name} leads with another entry {index}")
