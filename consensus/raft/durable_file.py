"""Small files that are either wholly old or wholly new after a crash, and that notice damage.

A sealed file is `magic (8) | length (8) | crc32 (4) | payload`. Replacing it goes the full way: new file,
fsync, rename, fsync of the directory (as in Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..durable import sync_directory
from .errors import StorageDamaged

_SEAL = struct.Struct("<8sQI")
_PAUSE_MAX_S = 0.01


def replace_durably(path: Path, parts: Sequence[bytes]) -> None:
    """Replace `path` by the concatenated parts, atomically and durably."""
    fresh = path.with_name(path.name + ".new")
    try:
        with open(fresh, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # On a full disk, what came of it would take the room that recovery needs.
        fresh.unlink(missing_ok=True)
        raise
    os.rename(fresh, path)
    sync_directory(path.parent)


def write_sealed(path: Path, magic: bytes, parts: Sequence[bytes]) -> None:
    """Replace `path` by a sealed file of the concatenated parts."""
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    replace_durably(path, [_SEAL.pack(magic, sum(map(len, parts)), checksum), *parts])


def write_sealed_pieces(path: Path, magic: bytes, pieces: Iterable[bytes]) -> int:
    """As `write_sealed`, for what is too large to be in memory at once; returns the payload's length.

    Pauses after each piece for twice as long as that took to make: whoever makes pieces in a thread holds the
    interpreter, and the event loop would find it taken every time.
    """
    fresh = path.with_name(path.name + ".new")
    length = checksum = 0
    try:
        with open(fresh, "wb") as file:
            file.write(bytes(_SEAL.size))
            began_s = time.perf_counter()
            for piece in pieces:
                file.write(piece)
                length += len(piece)
                checksum = zlib.crc32(piece, checksum)
                time.sleep(min(_PAUSE_MAX_S, 2 * (time.perf_counter() - began_s)))
                began_s = time.perf_counter()
            file.seek(0)
            file.write(_SEAL.pack(magic, length, checksum))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError):
        fresh.unlink(missing_ok=True)
        raise
    os.rename(fresh, path)
    sync_directory(path.parent)
    return length


def adopt_durably(source: Path, path: Path) -> None:
    """Replace `path` by the file `source`, atomically and durably."""
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    os.rename(source, path)
    sync_directory(path.parent)


def read_sealed(path: Path, magic: bytes) -> memoryview:
    """Payload of a sealed file.

    Raises:
        FileNotFoundError: there is none.
        StorageDamaged: it is not whole.
    """
    return unseal(path, path.read_bytes(), magic)


def unseal(path: Path, data: bytes, magic: bytes) -> memoryview:
    """Payload of the sealed bytes `data`; `path` is named in the error."""
    if len(data) < _SEAL.size:
        raise StorageDamaged(path, f"the file is cut off ({len(data)} bytes)")
    found, length, checksum = _SEAL.unpack_from(data)
    if found != magic:
        raise StorageDamaged(path, f"it does not begin with {magic!r}")
    payload = memoryview(data)[_SEAL.size :]
    if len(payload) != length:
        raise StorageDamaged(path, f"it holds {len(payload)} bytes where {length} were written")
    if zlib.crc32(payload) != checksum:
        raise StorageDamaged(path, "its checksum does not match its content")
    return payload
