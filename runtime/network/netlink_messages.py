"""Netlink's messages, and the attributes in them, out of what a socket gave (netlink(7)). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""Length with the header, kind, flags, sequence number, port."""
ATTRIBUTE = struct.Struct("=HH")
"""Length with this head, kind."""


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each; one that is cut off is the last."""
    return _pieces(data, HEADER)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each."""
    return _pieces(data, ATTRIBUTE)


def _pieces(data: bytes, head: struct.Struct) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + head.size <= len(data):
        length, kind, *_ = head.unpack_from(data, at)
        if length < head.size:
            return
        yield kind, data[at + head.size : at + length]
        at += length + -length % 4
