"""What the replicated log needs of others, as Protocols: message lanes, and the state machine it drives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class LinkReceiver(Protocol):
    """Told of what happens on the links, in the trio thread, synchronously; never raises."""

    def message(self, node_id: str, body: Any) -> None: ...

    def up(self, node_id: str) -> None:
        """Our outgoing link to `node_id` works."""

    def down(self, node_id: str) -> None: ...


class RaftLinks(Protocol):
    """Kept, one-way message lanes to other nodes. Messages of one lane stay in order; any may be lost."""

    def connect(self, node_id: str) -> None:
        """Keep an outgoing link to `node_id` until `disconnect`."""

    def disconnect(self, node_id: str) -> None: ...

    def send(self, node_id: str, body: Any) -> bool:
        """Never block. False: no link, or its queue is full. `body` is plain msgpack types."""

    def listen(self, receiver: LinkReceiver) -> None: ...


class StateMachine(Protocol):
    """What the log's entries act on."""

    def apply(self, index: int, entry: bytes) -> Any:
        """Apply one entry. Deterministic; never raises; reads no clock and no random."""

    def image(self) -> Callable[[], Iterable[bytes]]:
        """Cheap, in the loop: the returned function encodes the state as it is now, piece by piece, in a worker thread.

        A piece should take well under a millisecond, for while it is made the loop waits. The function may raise
        ValueError when the state is found damaged.
        """

    def load(self, data: memoryview) -> Callable[[], Iterable[object]]:
        """Decode what an image was, in a worker thread; the returned function puts it in place, cheaply, in the loop.

        It returns what it replaced, in pieces: freeing a large state at once would hold the loop.

        Raises:
            ValueError: this version cannot read it.
        """
