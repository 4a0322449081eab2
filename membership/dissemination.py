"""Piggyback dissemination (SWIM §4.1): news ride on the packets that are sent anyway.

Each piece of news is sent a limited number of times, O(log n) by each member, which reaches everybody with high
probability. What was sent least goes first, so fresh news overtake old ones; among equals the newest goes first.
A newer piece about the same member replaces the older one.
"""

from __future__ import annotations

import math

SMALLEST_MESSAGE_BYTES = 5
"""A message is never shorter, so a smaller rest of a packet need not be tried."""


def transmit_limit(retransmit_mult: int, live_members: int) -> int:
    """mult · ceil(log10(n + 1)), and at least mult."""
    return retransmit_mult * max(1, math.ceil(math.log10(live_members + 1)))


class BroadcastQueue:
    """Encoded messages that wait for room in a packet, by the member that they are about."""

    def __init__(self) -> None:
        self._by_transmits: list[dict[str, bytes]] = [{}]
        self._transmits: dict[str, int] = {}
        self.puts = 0
        """How often something was queued: tells whoever paces the gossip that there is something new."""

    def __len__(self) -> int:
        return len(self._transmits)

    def __contains__(self, subject: str) -> bool:
        return subject in self._transmits

    def put(self, subject: str, message: bytes) -> None:
        """Queue a message; an older one about the same subject is dropped."""
        self.drop(subject)
        self._by_transmits[0][subject] = message
        self._transmits[subject] = 0
        self.puts += 1

    def drop(self, subject: str) -> None:
        """Forget what is queued about the subject."""
        transmits = self._transmits.pop(subject, None)
        if transmits is not None:
            del self._by_transmits[transmits][subject]

    def take(self, *, room_bytes: int, limit: int, most: int, counted: bool = True) -> list[bytes]:
        """Up to `most` messages that fit into the room, least sent first; each counts as sent once.

        What goes to a member that probably does not hear it is not `counted`: near the limit of a small cluster, a
        few transmissions that are lost for certain leave somebody without the news.
        """
        if not self._transmits:
            return []
        taken: list[bytes] = []
        sent: list[tuple[str, int, bytes]] = []
        for transmits, bucket in enumerate(self._by_transmits):
            for subject, message in reversed(bucket.items()):
                if room_bytes < SMALLEST_MESSAGE_BYTES or len(taken) >= most:
                    break
                if len(message) <= room_bytes:
                    room_bytes -= len(message)
                    taken.append(message)
                    sent.append((subject, transmits, message))
        for subject, transmits, message in sent if counted else ():
            self._count(subject, transmits, message, limit)
        return taken

    def _count(self, subject: str, transmits: int, message: bytes, limit: int) -> None:
        del self._by_transmits[transmits][subject]
        if transmits + 1 >= limit:
            del self._transmits[subject]
            return
        if transmits + 1 == len(self._by_transmits):
            self._by_transmits.append({})
        self._by_transmits[transmits + 1][subject] = message
        self._transmits[subject] = transmits + 1
