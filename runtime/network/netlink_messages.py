"""Netlink's messages, and the attributes in them, out of what a socket gave (netlink(7)). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""Length with the header, kind, flags, sequence number, port."""
ATTRIBUTE = struct.Struct("=HH")
"""Length with this head, kind."""
_TORN = 0x10


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each; one that is cut off is the last."""
    return _pieces(data, HEADER)


def is_torn(data: bytes) -> bool:
    """Whether what is told by these messages changed meanwhile (NLM_F_DUMP_INTR)."""
    at = 0
    while at + HEADER.size <= len(data):
        length, _, flags, _, _ = HEADER.unpack_from(data, at)
        if flags & _TORN:
            return True
        if length < HEADER.size:
            break
        at += length + -length % 4
    return False


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
