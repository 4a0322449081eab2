"""Streams of bytes between two nodes: backpressure, half close, and errors that travel."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import trio

from hivemind.peer.connection import ConnectionLost
from hivemind.peer.errors import PeerRefusal, PeerUnreachable
from hivemind.peer.messages import Data, Eof, Message, Refused


class Duplex(Protocol):
    """What carries a stream's messages: a TLS connection, or memory."""

    async def send(self, message: Message) -> None: ...
    async def receive(self) -> Message | None: ...
    async def aclose(self) -> None: ...


class PeerStream:
    """Bytes both ways; one sender and one receiver at a time. Leaving ``async with`` closes it at once."""

    def __init__(self, node_id: str, duplex: Duplex, *, chunk_bytes: int) -> None:
        self.node_id = node_id
        self._duplex = duplex
        self._chunk_bytes = chunk_bytes
        self._sent_eof = False
        self._got_eof = False

    async def send(self, data: bytes) -> None:
        """Send; waits while the other side does not read. Raises PeerUnreachable."""
        if self._sent_eof:
            raise trio.ClosedResourceError("the end of this stream was sent already")
        for start in range(0, len(data), self._chunk_bytes):
            await self._send(Data(bytes(data[start : start + self._chunk_bytes])))

    async def receive(self) -> bytes:
        """The next bytes; b"" at the other side's end.

        Raises:
            PeerUnreachable: the connection was lost before its end.
            PeerRefusal: the other side's handler refused or failed.
        """
        if self._got_eof:
            await trio.lowlevel.checkpoint()
            return b""
        while True:
            match await self._receive():
                case Data(data) if data:
                    return data
                case Data():
                    continue
                case Eof():
                    self._got_eof = True
                    return b""
                case Refused(code, message):
                    raise PeerRefusal(code, message)
                case None:
                    raise PeerUnreachable(self.node_id, "the stream was closed before its end", ambiguous=True)
                case other:
                    raise PeerUnreachable(self.node_id, f"a {type(other).__name__} arrived in a stream")

    async def send_eof(self) -> None:
        """Say that no more is sent; receiving goes on. Again: nothing. Raises PeerUnreachable."""
        if not self._sent_eof:
            self._sent_eof = True
            await self._send(Eof())

    async def refuse(self, refusal: PeerRefusal) -> None:
        """End our side with an error that the other side's ``receive`` raises."""
        self._sent_eof = True
        await self._send(Refused(refusal.code, refusal.message))

    async def drain(self) -> None:
        """Discard what still comes, until the other side has closed."""
        while await self._receive() is not None:
            pass

    async def aclose(self) -> None:
        """Close both directions at once."""
        await self._duplex.aclose()

    async def __aenter__(self) -> PeerStream:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _send(self, message: Message) -> None:
        try:
            await self._duplex.send(message)
        except ConnectionLost as error:
            raise PeerUnreachable(self.node_id, str(error), ambiguous=True) from error

    async def _receive(self) -> Message | None:
        try:
            return await self._duplex.receive()
        except ConnectionLost as error:
            raise PeerUnreachable(self.node_id, str(error), ambiguous=True) from error


class MemoryDuplex:
    """One end of a bounded pair in memory, for streams from a node to itself."""

    def __init__(self, outgoing: trio.MemorySendChannel[Message], incoming: trio.MemoryReceiveChannel[Message]) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, message: Message) -> None:
        try:
            await self._outgoing.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost("the stream was closed") from error

    async def receive(self) -> Message | None:
        try:
            return await self._incoming.receive()
        except trio.EndOfChannel:
            return None
        except trio.ClosedResourceError as error:
            raise ConnectionLost("the stream was closed") from error

    async def aclose(self) -> None:
        self._outgoing.close()
        self._incoming.close()
        await trio.lowlevel.checkpoint()


def memory_duplex_pair(max_messages: int = 8) -> tuple[MemoryDuplex, MemoryDuplex]:
    """Two connected ends."""
    send_a, receive_a = trio.open_memory_channel[Message](max_messages)
    send_b, receive_b = trio.open_memory_channel[Message](max_messages)
    return MemoryDuplex(send_a, receive_b), MemoryDuplex(send_b, receive_a)


async def serve_to_end(stream: PeerStream, refusal: PeerRefusal | None, *, linger_s: float) -> None:
    """After a handler: send its end or its refusal, and let the other side close first.

    Closing with unread input would reset the connection and could destroy what is on its way.
    """
    try:
        if refusal is None:
            await stream.send_eof()
        else:
            await stream.refuse(refusal)
        with trio.move_on_after(linger_s):
            await stream.drain()
    except PeerUnreachable:
        return
