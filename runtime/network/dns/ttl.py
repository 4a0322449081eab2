"""Where a message keeps its times to live, so that a cached answer can be aged as bytes. Pure.

RFC 1035 §4.1; an OPT record's TTL field holds flags (RFC 6891 §6.1.3) and is left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_COUNTS = struct.Struct(">HHHH")
_RECORD = struct.Struct(">HHIH")
_OPT = 41
_POINTER = 0xC0


def ttls(wire: bytes) -> list[tuple[int, int]]:
    """(Offset, seconds) of each record of a whole message. Raises ValueError where it is not one."""
    try:
        questions, *sections = _COUNTS.unpack_from(wire, 4)
        at = 12
        for _ in range(questions):
            at = _after_name(wire, at) + 4
        found = []
        for _ in range(sum(sections)):
            at = _after_name(wire, at)
            kind, _, seconds, length = _RECORD.unpack_from(wire, at)
            if kind != _OPT:
                found.append((at + 4, seconds))
            at += _RECORD.size + length
    except (IndexError, struct.error) as error:
        raise ValueError("the message is cut off") from error
    if at > len(wire):
        raise ValueError("the message is cut off")
    return found


def aged(wire: bytes, offsets: Iterable[tuple[int, int]], seconds: int) -> bytes:
    """The message as it is after so many seconds."""
    older = bytearray(wire)
    for at, ttl in offsets:
        older[at : at + 4] = max(0, ttl - seconds).to_bytes(4, "big")
    return bytes(older)


def _after_name(wire: bytes, at: int) -> int:
    while True:
        length = wire[at]
        if length & _POINTER == _POINTER:
            return at + 2
        at += 1 + length
        if length == 0:
            return at
