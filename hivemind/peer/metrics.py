"""What the peer channel counts."""

from __future__ import annotations

import msgspec


class PeerMetrics(msgspec.Struct, frozen=True):
    """A snapshot; counters count since start, the two ``open`` fields are gauges."""

    open_inbound: int
    open_outbound: int
    accepted: int
    dialled: int
    handshakes_failed: int
    refused: int
    """Connections and hellos that we turned away."""
    calls: int
    calls_served: int
    frames_in: int
    frames_out: int
    bytes_in: int
    bytes_out: int
    link_messages_dropped: int
    """Sends that answered False because a queue was full."""


class Counters:
    """The live counters behind :class:`PeerMetrics`."""

    def __init__(self) -> None:
        self.open_inbound = 0
        self.open_outbound = 0
        self.accepted = 0
        self.dialled = 0
        self.handshakes_failed = 0
        self.refused = 0
        self.calls = 0
        self.calls_served = 0
        self.frames_in = 0
        self.frames_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.link_messages_dropped = 0

    def snapshot(self) -> PeerMetrics:
        return PeerMetrics(**vars(self))
