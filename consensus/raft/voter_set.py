"""Who votes, at every index of the log: derived from the log alone, never remembered beside it.

PySyncObj keeps one set that it changes and changes back; founding members are not in its log, and a joiner with
only a seed gets a wrong set. Our membership entries carry the whole set that results from them, so that one entry
is enough to be right again (Ongaro's dissertation, section 4.1: a server uses the latest set in its log).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from .durable_file import read_sealed, write_sealed
from .errors import StorageDamaged

_MAGIC = b"HMVOTER1"

VoterSet = tuple[str, ...]


class VoterChange(msgspec.Struct, frozen=True, array_like=True):
    """Body of a membership entry: one node more or less, and the sorted set after it."""

    kind: Literal["add", "rem"]
    node_id: str
    voters: VoterSet


def change_voters(voters: VoterSet, kind: Literal["add", "rem"], node_id: str) -> VoterChange | None:
    """The change that adds or removes `node_id`; None if it would change nothing or leave nobody."""
    if (node_id in voters) == (kind == "add"):
        return None
    after = (*voters, node_id) if kind == "add" else tuple(v for v in voters if v != node_id)
    return VoterChange(kind, node_id, tuple(sorted(after))) if after else None


class VoterHistory:
    """The voter set at the log's base and after every membership entry since."""

    def __init__(self, index: int, voters: Sequence[str]) -> None:
        self._steps: list[tuple[int, VoterSet]] = [(index, tuple(sorted(voters)))]

    @property
    def latest(self) -> VoterSet:
        """The set that counts: the newest in the log, committed or not."""
        return self._steps[-1][1]

    @property
    def latest_index(self) -> int:
        """Index of the entry that made it."""
        return self._steps[-1][0]

    def at(self, index: int) -> VoterSet:
        """The set after the entry `index`."""
        return next((voters for since, voters in reversed(self._steps) if since <= index), self._steps[0][1])

    def append(self, index: int, voters: Sequence[str]) -> None:
        self._steps.append((index, tuple(sorted(voters))))

    def cut(self, last_index: int) -> None:
        """The log now ends at `last_index`."""
        self._steps[1:] = [step for step in self._steps[1:] if step[0] <= last_index]

    def compact(self, index: int) -> None:
        """The log now begins at `index`."""
        base = (index, self.at(index))
        self._steps = [base, *(step for step in self._steps if step[0] > index)]

    def restart(self, index: int, voters: Sequence[str]) -> None:
        """The log begins anew after an installed snapshot."""
        self._steps = [(index, tuple(sorted(voters)))]


class Identity(msgspec.Struct, frozen=True):
    """Kept in the data directory: whose files these are, and the voters last known to be committed.

    `index` is that of their entry: while the log is replayed after a start, older sets must not seem to return.
    """

    node_id: str
    voters: VoterSet
    index: int = 0


def save_identity(path: Path, identity: Identity) -> None:
    """Write durably; blocks."""
    write_sealed(path, _MAGIC, [msgspec.msgpack.encode(identity)])


def load_identity(path: Path) -> Identity:
    """Read it back. Raises FileNotFoundError or StorageDamaged."""
    try:
        return msgspec.msgpack.decode(read_sealed(path, _MAGIC), type=Identity)
    except msgspec.DecodeError as error:
        raise StorageDamaged(path, f"it cannot be read ({error})") from error
