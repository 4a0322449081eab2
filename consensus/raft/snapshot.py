"""Snapshot files: a header and the encoded state, sealed by length and checksum, replaced atomically."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from .durable_file import read_sealed, unseal, write_sealed
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
    state: bytes


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the snapshot file durably; blocks."""
    header = msgspec.msgpack.encode(snapshot.header)
    write_sealed(path, _MAGIC, [_LENGTH.pack(len(header)), header, snapshot.state])


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot file. Raises FileNotFoundError or StorageDamaged (the stock library starts empty instead)."""
    return _decode(path, read_sealed(path, _MAGIC))


def decode_snapshot(path: Path, data: bytes) -> Snapshot:
    """Check and decode the content of a snapshot file that came from elsewhere; `path` is named in errors."""
    return _decode(path, unseal(path, data, _MAGIC))


def _decode(path: Path, payload: bytes) -> Snapshot:
    try:
        (length,) = _LENGTH.unpack_from(payload)
        end = _LENGTH.size + length
        header = msgspec.msgpack.decode(payload[_LENGTH.size : end], type=SnapshotHeader)
    except (struct.error, msgspec.DecodeError) as error:
        raise StorageDamaged(path, f"its header cannot be read ({error})") from error
    return Snapshot(header, payload[end:])
