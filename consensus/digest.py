"""A row's version, as clients see it in ETags: rows with the same digest say the same."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct


def digest(row: Struct) -> str:
    """Twelve hex digits."""
    # An encoder that sorts takes only text as keys; some rows have mappings by port.
    sorted_row = msgspec.to_builtins(row, str_keys=True, order="sorted")
    return hashlib.blake2b(msgspec.msgpack.encode(sorted_row), digest_size=6).hexdigest()
