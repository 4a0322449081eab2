"""The peer channel's settings."""

from __future__ import annotations

import msgspec


class PeerConfig(msgspec.Struct, frozen=True):
    """Limits and times of the peer channel; the defaults suit a LAN."""

    max_frame_bytes: int = 8 * 1024 * 1024
    max_stranger_frame_bytes: int = 64 * 1024
    """For anything before a hello is answered, and for joiners: room for a CSR and vitals."""
    handshake_timeout_s: float = 5.0
    """For TLS, and again for the hello."""
    max_handshakes: int = 256
    """Connections before their hello; each costs about 60 KiB."""
    max_handshakes_per_address: int = 64
    max_connections_per_address: int = 4096
    join_timeout_s: float = 30.0
    accept_backoff_s: float = 0.1
    connect_timeout_s: float = 3.0
    """TCP, TLS and hello together."""
    max_dials_per_peer: int = 16
    """Streams that are being opened at once to one peer; well below max_handshakes_per_address."""
    rpc_idle_s: float = 60.0
    rpc_server_idle_s: float = 150.0
    """More than rpc_idle_s, so that it is the caller who closes and no call meets a closing door."""
    max_calls_per_peer: int = 1024
    max_handlers_per_connection: int = 128
    ping_interval_s: float = 0.8
    link_silence_s: float = 2.4
    """A link that heard nothing for so long is down: ping at 0.8 s, two may be lost; under 3 s in all."""
    rpc_silence_s: float = 5.0
    """The same for calls; longer, since their callers have timeouts of their own."""
    redial_min_s: float = 0.1
    redial_max_s: float = 2.0
    link_queue_frames: int = 16_384
    link_queue_bytes: int = 32 * 1024 * 1024
    rpc_queue_bytes: int = 1024 * 1024
    """What waits to be written on a call connection; more makes callers and handlers wait."""
    batch_bytes: int = 256 * 1024
    """The most that is handed to TLS at once."""
    stream_chunk_bytes: int = 64 * 1024
    stream_linger_s: float = 2.0
    """How long a served stream waits, after its handler is done, for the other side to close."""

    def validate(self) -> None:
        """Check across the fields. Raises ValueError that names them."""
        if self.max_stranger_frame_bytes > self.max_frame_bytes:
            raise ValueError("max_stranger_frame_bytes is over max_frame_bytes")
        if self.link_queue_bytes < self.max_frame_bytes:
            raise ValueError("link_queue_bytes is under max_frame_bytes: such a frame could never be sent")
        if self.link_silence_s < 2 * self.ping_interval_s:
            raise ValueError("link_silence_s must be at least twice ping_interval_s")
        if self.rpc_server_idle_s <= self.rpc_idle_s:
            raise ValueError("rpc_server_idle_s must be over rpc_idle_s")
        if not 0 < self.redial_min_s <= self.redial_max_s:
            raise ValueError("redial_min_s must be over 0 and at most redial_max_s")
