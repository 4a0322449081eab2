"""Netlink's messages, and the attributes in them, to and from what a socket takes and gives (netlink(7)). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("=IHHII")
"""Length with the header, kind, flags, sequence number, port."""
ATTRIBUTE = struct.Struct("=HH")
"""Length with this head, kind."""

ERROR, DONE = 2, 3
"""Kinds of answers."""
ACKNOWLEDGE, DUMP = 0x4, 0x300
"""Flags of requests."""
TORN = 0x10
"""Flag of an answer: what is told changed meanwhile (NLM_F_DUMP_INTR)."""
NESTED = 0x8000
"""Flag of the kind of an attribute that has attributes in it."""
_REQUEST = 0x1


def message(kind: int, body: bytes, flags: int = 0, number: int = 0) -> bytes:
    """A request."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | _REQUEST, number, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(inner))


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each; one that is cut off is the last."""
    for kind, _, body in flagged_messages(data):
        yield kind, body


def flagged_messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and body of each."""
    for (_, kind, flags, _, _), body in _pieces(data, HEADER):
        yield kind, flags, body


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each."""
    for (_, kind), value in _pieces(data, ATTRIBUTE):
        yield kind, value


def error_code(body: bytes) -> int:
    """Of an answer of kind ERROR: the errno, or 0 where it acknowledges."""
    return -int(struct.unpack_from("=i", body)[0])


def _pieces(data: bytes, head: struct.Struct) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    at = 0
    while at + head.size <= len(data):
        fields = head.unpack_from(data, at)
        length = fields[0]
        if length < head.size:
            return
        yield fields, data[at + head.size : at + length]
        at += length + -length % 4
