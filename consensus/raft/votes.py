"""The term and the vote, durable before anything that depends on them is sent (Raft paper, figure 2).

Beside them stands the number of the log's newest segment, durable before anything in it is promised: where that segment
is lost together with the log's mark, or an older copy of the log is put in its place, nothing else would tell.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from .durable_file import read_sealed, write_sealed
from .errors import StorageDamaged

_MAGIC = b"HMVOTES1"


class Votes(msgspec.Struct, frozen=True):
    """The newest term this node has seen, and whom it voted for in it."""

    term: int = 0
    voted_for: str | None = None


class _Content(msgspec.Struct, frozen=True, array_like=True):
    """Of the file. Earlier versions wrote no segment, and read only what they know."""

    term: int = 0
    voted_for: str | None = None
    segment: int = 0


class VoteFile:
    """The file as it is. The methods block for a few fsyncs, so call them in one worker thread."""

    def __init__(self, path: Path, votes: Votes, segment: int) -> None:
        self._path = path
        self.votes = votes
        self.segment = segment

    def keep(self, votes: Votes) -> None:
        """Raises OSError: then the old ones are in the file."""
        self._save(votes, self.segment)
        self.votes = votes

    def keep_segment(self, number: int) -> None:
        """Raises as `keep`."""
        self._save(self.votes, number)
        self.segment = number

    def _save(self, votes: Votes, segment: int) -> None:
        content = _Content(votes.term, votes.voted_for, segment)
        write_sealed(self._path, _MAGIC, [msgspec.msgpack.encode(content)])


def save_votes(path: Path, votes: Votes) -> None:
    """Write a first file durably; blocks."""
    VoteFile(path, votes, 0).keep(votes)


def load_votes(path: Path) -> VoteFile:
    """Read them back. A missing file is damage: without it the node could vote twice in a term.

    Raises:
        StorageDamaged: missing, or not whole.
    """
    try:
        content = msgspec.msgpack.decode(read_sealed(path, _MAGIC), type=_Content)
        return VoteFile(path, Votes(content.term, content.voted_for), content.segment)
    except FileNotFoundError:
        raise StorageDamaged(path, "the file with this node's votes is missing") from None
    except msgspec.DecodeError as error:
        raise StorageDamaged(path, f"it cannot be read ({error})") from error
