"""Each event encoded once, however many clients it goes to.

A WebSocket frame from a server is the same for all clients (RFC 6455, 5.1: it is not masked), so the bytes of an
event's frame are made when the first client needs them, and remembered as long as others follow closely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from api.answer import encode
from api.events.feed import Told
from consensus.model.event import Event, EventPosition

REMEMBERED_BYTES = 4 * 1024 * 1024
WRITE_BYTES = 64 * 1024
_TEXT_WHOLE = 0x81
_MAX_SHORT, _MAX_MEDIUM = 125, 0xFFFF


def text_frame(payload: bytes) -> bytes:
    """A whole text message as one frame (RFC 6455, 5.2), not compressed."""
    size = len(payload)
    if size <= _MAX_SHORT:
        return bytes((_TEXT_WHOLE, size)) + payload
    if size <= _MAX_MEDIUM:
        return bytes((_TEXT_WHOLE, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT_WHOLE, 127)) + size.to_bytes(8, "big") + payload


def writes(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Frames put together for as few writes as can be; what waits for a slow client stays small."""
    waiting: list[bytes] = []
    size = 0
    for frame in frames:
        waiting.append(frame)
        size += len(frame)
        if size >= WRITE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


class Frames:
    """The frames of the newest events that were asked for."""

    def __init__(self) -> None:
        self._frames: dict[EventPosition, bytes] = {}
        self._size = 0

    def of(self, event: Event, tell: Callable[[Event], Told]) -> bytes:
        frame = self._frames.get(event.position)
        if frame is None:
            frame = self._frames[event.position] = text_frame(encode(tell(event)))
            self._size += len(frame)
            while self._size > REMEMBERED_BYTES and len(self._frames) > 1:
                self._size -= len(self._frames.pop(next(iter(self._frames))))
        return frame
