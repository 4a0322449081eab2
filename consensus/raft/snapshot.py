"""Snapshot files: a header and the encoded state, sealed by length and checksum, replaced atomically."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from pathlib import Path

import msgspec

from .durable_file import adopt_durably, read_sealed, unseal, write_sealed_pieces
from .errors import StorageDamaged
from .voter_set import VoterSet

_MAGIC = b"HMSNAPS1"
_LENGTH = struct.Struct("<I")


class SnapshotHeader(msgspec.Struct, frozen=True):
    """What the state in the file includes: everything up to the entry `index` of `term`."""

    index: int
    term: int
    voters: VoterSet


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot in memory."""

    header: SnapshotHeader
    state: memoryview


def write_snapshot(path: Path, header: SnapshotHeader, state: Iterable[bytes]) -> int:
    """Replace the snapshot file durably, by a state that comes in pieces; blocks. Returns its size in bytes."""
    head = msgspec.msgpack.encode(header)
    return write_sealed_pieces(path, _MAGIC, itertools.chain([_LENGTH.pack(len(head)) + head], state))


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot file. Raises FileNotFoundError or StorageDamaged (the stock library starts empty instead)."""
    return _decode(path, read_sealed(path, _MAGIC))


def adopt_snapshot(path: Path, source: Path) -> Snapshot:
    """Replace the snapshot file by `source`, which came from elsewhere; blocks. Raises StorageDamaged about that."""
    snapshot = _decode(source, unseal(source, source.read_bytes(), _MAGIC))
    adopt_durably(source, path)
    return snapshot


def _decode(path: Path, payload: memoryview) -> Snapshot:
    try:
        (length,) = _LENGTH.unpack_from(payload)
        end = _LENGTH.size + length
        header = msgspec.msgpack.decode(payload[_LENGTH.size : end], type=SnapshotHeader)
    except (struct.error, msgspec.DecodeError) as error:
        raise StorageDamaged(path, f"its header cannot be read ({error})") from error
    return Snapshot(header, payload[end:])
