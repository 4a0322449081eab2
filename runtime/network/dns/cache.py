"""Answers as they went out, by the bytes of their question. Bounded; the oldest go first."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.network.dns.ttl import aged, ttls

MAX_OWN = 8192
MAX_FOREIGN = 4096
_MAX_TTL_S = 300
_MAX_NEGATIVE_TTL_S = 30
_RCODE = 0x0F
_HEADER_BYTES, _TYPE_AND_CLASS_BYTES, _MAX_LABEL_BYTES = 12, 4, 63
_ONE_QUESTION_WITH_EDNS = bytes([0, 1, 0, 0, 0, 0, 0, 1])
_OPT = bytes([0, 0, 41])
"""The root's name, and the type."""
_OPT_BYTES = 9
"""Up to the length of the options' data."""


def asked_of_us(query: bytes) -> bytes:
    """What our own answer depends on: the query without its id, and without the data of its EDNS options (RFC 6891),
    which we heed none of. A client's cookie (RFC 7873), new in each query, would miss the answer that is kept."""
    if query[4:12] != _ONE_QUESTION_WITH_EDNS:
        return query[2:]
    at = _HEADER_BYTES
    while at < len(query) and 0 < query[at] <= _MAX_LABEL_BYTES:
        at += query[at] + 1
    options = at + 1 + _TYPE_AND_CLASS_BYTES
    return query[2 : options + _OPT_BYTES] if query[options : options + 3] == _OPT else query[2:]


class OwnAnswers:
    """What was made from the replica: good until that changes. Records take turns."""

    def __init__(self) -> None:
        self._turns: dict[bytes, list[bytes]] = {}

    def get(self, question: bytes) -> bytes | None:
        """`question`: `asked_of_us`, with what else makes answers differ before it."""
        turns = self._turns.get(question)
        if turns is None:
            return None
        if len(turns) > 1:
            turns.append(turns.pop(0))
        return turns[0]

    def put(self, question: bytes, turns: Sequence[bytes]) -> None:
        if len(self._turns) >= MAX_OWN:
            del self._turns[next(iter(self._turns))]
        self._turns[question] = list(turns)

    def clear(self) -> None:
        self._turns.clear()


class ForeignAnswers:
    """What came from upstream: good as long as its shortest time to live, and older each time that it is given."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[bytes, list[tuple[int, int]], float, float]] = {}

    def get(self, question: bytes, now_s: float) -> bytes | None:
        """Without the id."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        wire, offsets, since_s, until_s = kept
        if now_s >= until_s:
            del self._kept[question]
            return None
        return aged(wire, offsets, int(now_s - since_s))[2:]

    def put(self, question: bytes, wire: bytes, now_s: float) -> None:
        """A whole message; what may not be kept is not."""
        try:
            offsets = ttls(wire)
        except ValueError:
            return
        limit_s = _MAX_TTL_S if wire[3] & _RCODE == 0 and wire[6:8] != b"\0\0" else _MAX_NEGATIVE_TTL_S
        life_s = min([limit_s, *(ttl for _, ttl in offsets)]) if offsets else 0
        if life_s <= 0 or wire[2] & 0x02:
            return
        if len(self._kept) >= MAX_FOREIGN:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = (wire, offsets, now_s, now_s + life_s)

    def clear(self) -> None:
        self._kept.clear()
