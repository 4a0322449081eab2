"""From an HTTP answer to what it means; nothing here waits."""

from __future__ import annotations

from typing import Any, TypeVar

import httpx2
import msgspec
from msgspec import Struct

from hivemind.client.errors import ApiError, UnexpectedAnswer
from hivemind.client.models import Page

T = TypeVar("T")
COME_AGAIN = frozenset({429, 502, 503, 504})
"""Nothing was done, or (504) what was done is told to who asks again with the same key."""


class Response(Struct, frozen=True):
    """A successful answer. `index` is X-Hivemind-Index, `leader` X-Hivemind-Leader, `etag` for If-Match."""

    data: Any
    index: int | None
    leader: str | None
    etag: str | None = None


def response_of(answer: httpx2.Response) -> Response:
    """Raises ApiError."""
    content = checked(answer)
    index = answer.headers.get("X-Hivemind-Index")
    return Response(
        content.get("data"),
        None if index is None else int(index),
        answer.headers.get("X-Hivemind-Leader") or None,
        answer.headers.get("ETag"),
    )


def checked(answer: httpx2.Response) -> dict[str, Any]:
    """The envelope of a success. Raises ApiError."""
    try:
        content = answer.json()
    except ValueError as error:
        text = f"the server answered {answer.status_code} without JSON"
        raise ApiError(answer.status_code, "not_json", text) from error
    if not isinstance(content, dict) or not content.get("success"):
        raise _problem(answer.status_code, content)
    return content


def _problem(status: int, content: Any) -> ApiError:
    problem = content.get("error") if isinstance(content, dict) else None
    if not isinstance(problem, dict):
        problem = {}
    return ApiError(status, problem.get("code", "unknown"), problem.get("message", f"status {status}"))


def retry_after_s(answer: httpx2.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def typed(data: Any, kind: type[T]) -> T:
    """Raises UnexpectedAnswer: the server answers something else, so it is of another version."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise UnexpectedAnswer(f"the server's answer is not what was expected: {error}") from error


def page_of(data: Any, key: str, kind: type[T]) -> Page[T]:
    """Raises UnexpectedAnswer."""
    pages = data.get("pagination") or {}
    items = typed(data.get(key), list[kind])  # type: ignore[valid-type]
    total = data.get("total", len(items))
    return Page(items, total, pages.get("next_offset"), pages.get("prev_offset"))
