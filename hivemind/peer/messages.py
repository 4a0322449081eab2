"""The messages of the peer channel, and their msgpack form. Pure.

Each is an array that begins with its number. Fields may be added at the end: older nodes ignore them.
"""

from typing import Any, Literal

import msgspec

from hivemind.peer.errors import FrameTooLarge
from hivemind.peer.frames import FrameError, pack_frame

Kind = Literal["rpc", "link", "stream", "join"]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The dialling side's first message."""

    min_version: int
    max_version: int
    node_id: str
    cluster_id: str
    """Empty from a joiner, which has none yet."""
    kind: Kind
    service: str = ""


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The accepting side's answer to a Hello."""

    version: int
    node_id: str
    cluster_id: str
    ca_pems: tuple[str, ...] = ()
    """Only for joiners, which check them against their token's fingerprint."""


REMOVED = "removed"
"""The code of `Refused` for a node that is no member any more."""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The end of a connection or stream, with the reason; either side may send it."""

    code: str
    message: str


class Request(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A call, or (with id 0) what a stream is opened for."""

    id: int
    service: str
    body: Any


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=4):
    id: int
    body: Any


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=5):
    id: int
    code: str
    message: str


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The caller does not wait any more."""

    id: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=7):
    pass


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=8):
    pass


class LinkMessage(msgspec.Struct, frozen=True, array_like=True, tag=9):
    body: Any


class Data(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Bytes of a stream."""

    data: bytes


class Eof(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """No more Data comes from this side."""


Message = Hello | Welcome | Refused | Request | Answer | Failure | Cancel | Ping | Pong | LinkMessage | Data | Eof

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_frame(message: Message, max_frame_bytes: int) -> bytes:
    """The message as a frame.

    Raises:
        FrameTooLarge: it is over the limit.
        TypeError, OverflowError: a body that is not made of plain msgpack types.
    """
    payload = _ENCODER.encode(message)
    if len(payload) > max_frame_bytes:
        raise FrameTooLarge(f"a message of {len(payload)} bytes; the limit is {max_frame_bytes}")
    return pack_frame(payload)


def decode_payload(payload: bytes) -> Message:
    """The message in a frame's payload. Raises FrameError, whatever the bytes are."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise FrameError(f"not a message: {error}") from error


def plain_copy(body: Any) -> Any:
    """The body as it would arrive at another node, so that calls to oneself behave alike."""
    return msgspec.msgpack.decode(_ENCODER.encode(body))
