"""The term and the vote, durable before anything that depends on them is sent (Raft paper, figure 2)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .durable_file import read_sealed, write_sealed
from .errors import StorageDamaged

_MAGIC = b"HMVOTES1"


class Votes(msgspec.Struct, frozen=True, array_like=True):
    """The newest term this node has seen, and whom it voted for in it."""

    term: int = 0
    voted_for: str | None = None


def save_votes(path: Path, votes: Votes) -> None:
    """Write durably; blocks for a few fsyncs, so call it in a worker thread."""
    write_sealed(path, _MAGIC, [msgspec.msgpack.encode(votes)])


def load_votes(path: Path) -> Votes:
    """Read them back. A missing file is damage: without it the node could vote twice in a term.

    Raises:
        StorageDamaged: missing, or not whole.
    """
    try:
        return msgspec.msgpack.decode(read_sealed(path, _MAGIC), type=Votes)
    except FileNotFoundError:
        raise StorageDamaged(path, "the file with this node's votes is missing") from None
    except msgspec.DecodeError as error:
        raise StorageDamaged(path, f"it cannot be read ({error})") from error
