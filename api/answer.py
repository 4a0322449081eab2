"""What handlers return, the envelope around it, and what goes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from msgspec import Struct

from api.errors import ApiError, envelope_of

JSON = "application/json"
_encoder = msgspec.json.Encoder()


class Answer(Struct, frozen=True):
    """`data` goes into the envelope."""

    data: Any
    status: int = 200


class Raw(Struct, frozen=True):
    """Bytes as they go out. `digest` is of the body, where it is known already."""

    body: bytes
    content_type: str
    status: int = 200
    digest: str = ""


StreamedBody = AbstractAsyncContextManager[AsyncIterator[bytes]]
"""A body that is produced while it is sent. What entering it raises is still answered as an error."""


class Stream(Struct, frozen=True):
    body: StreamedBody
    content_type: str


class Reply(Struct, frozen=True):
    """An answer as it goes out. `headers` are as they are written, each once."""

    status: int
    headers: dict[str, str]
    body: bytes | StreamedBody


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What most changes answer: what they were about, and that it was done."""

    name: str | None = None
    id: str | None = None
    message: str


class _Envelope(Struct, frozen=True, kw_only=True):
    success: bool = True
    data: Any


def encode_success(data: Any) -> bytes:
    return _encoder.encode(_Envelope(data=data))


def encoded(answer: Answer) -> Raw:
    return Raw(encode_success(answer.data), JSON, answer.status)


def encode_error(error: ApiError) -> bytes:
    return _encoder.encode(envelope_of(error))


def whole(status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> Reply:
    return Reply(status, {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}, body)


def error_reply(error: ApiError) -> Reply:
    return whole(error.status, encode_error(error), JSON, error.headers)


def encode(value: Any) -> bytes:
    """`value` as JSON, without an envelope."""
    return _encoder.encode(value)
