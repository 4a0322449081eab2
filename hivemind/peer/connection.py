"""Messages over one TLS connection."""

from __future__ import annotations

from collections import deque

import trio

from hivemind.peer.frames import FrameDecoder, FrameError
from hivemind.peer.messages import Message, decode_payload, encode_frame
from hivemind.peer.metrics import Counters
from hivemind.peer.tls import TlsRefused, explain
from hivemind.peer.tls_stream import TlsStream


class ConnectionLost(Exception):
    """The connection broke or the other side sent what is no frame; the text says which."""

    def __init__(self, reason: str, *, untrusted: bool = False) -> None:
        super().__init__(reason)
        self.untrusted = untrusted


class Connection:
    """One sender and one receiver at a time, both may be at work at once."""

    def __init__(self, stream: TlsStream, *, max_frame_bytes: int, counters: Counters) -> None:
        self.stream = stream
        self._counters = counters
        self._decoder = FrameDecoder(max_frame_bytes)
        self._received: deque[bytes] = deque()

    def allow(self, max_frame_bytes: int) -> None:
        """Set the frame limit of both directions: higher once the other side is known."""
        self._decoder.max_frame_bytes = max_frame_bytes

    def peer_certificate_der(self) -> bytes | None:
        """The other side's certificate, verified against our CA unless it was dialled for joining."""
        return self.stream.certificate_der()

    def encode(self, message: Message) -> bytes:
        """The message as a frame. Raises FrameTooLarge, or TypeError for a body that is not plain."""
        self._counters.frames_out += 1
        return encode_frame(message, self._decoder.max_frame_bytes)

    async def send(self, message: Message) -> None:
        """Encode and send. Raises ConnectionLost."""
        await self.send_bytes(self.encode(message))

    async def send_bytes(self, frames: bytes) -> None:
        """Send frames that are encoded already. Raises ConnectionLost."""
        try:
            await self.stream.send_all(frames)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _lost(error) from error
        self._counters.bytes_out += len(frames)

    def send_now(self, frame: bytes) -> bool:
        """Send an encoded frame without waiting; False, and nothing done, if something waits before it.

        Also what was sent may wait in part: see `has_unsent`. Raises ConnectionLost.
        """
        try:
            sent = self.stream.send_now(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _lost(error) from error
        self._counters.bytes_out += len(frame) if sent else 0
        return sent

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for the next `send_bytes`, perhaps of nothing."""
        return self.stream.has_unsent

    async def receive(self) -> Message | None:
        """The next message; None at the end. Raises ConnectionLost, for rubbish too."""
        while not self._received:
            batch = await self._receive_payloads()
            if batch is None:
                return None
            self._received.extend(batch)
        return self._decode(self._received.popleft())

    async def receive_batch(self) -> list[Message] | None:
        """All messages that one read completes, perhaps none; None at the end. Raises ConnectionLost.

        An empty batch still says that the other side lives.
        """
        payloads = list(self._received) or await self._receive_payloads()
        self._received.clear()
        return None if payloads is None else [self._decode(payload) for payload in payloads]

    async def _receive_payloads(self) -> list[bytes] | None:
        try:
            data = await self.stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _lost(error) from error
        if not data:
            if self._decoder.buffered_bytes:
                raise ConnectionLost("the connection was closed in the middle of a frame")
            return None
        self._counters.bytes_in += len(data)
        try:
            return self._decoder.feed(data)
        except FrameError as error:
            raise ConnectionLost(f"rubbish arrived: {error}") from error

    def _decode(self, payload: bytes) -> Message:
        self._counters.frames_in += 1
        try:
            return decode_payload(payload)
        except FrameError as error:
            raise ConnectionLost(f"rubbish arrived: {error}") from error

    async def aclose(self) -> None:
        """Close at once: what was sent is with the kernel, and the ends of streams are messages."""
        await trio.aclose_forcefully(self.stream)


def _lost(error: Exception) -> ConnectionLost:
    reason = explain(error)
    return ConnectionLost(str(reason), untrusted=isinstance(reason, TlsRefused))
