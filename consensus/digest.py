"""A row's version, as clients see it in ETags: rows with the same digest say the same."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

_encoder = msgspec.msgpack.Encoder(order="sorted")


def digest(row: Struct) -> str:
    """Twelve hex digits."""
    return hashlib.blake2b(_encoder.encode(row), digest_size=6).hexdigest()
