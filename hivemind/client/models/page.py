"""What several operations answer."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")
Scalar = str | int | float | bool | None
"""What a query parameter may be; None: not given."""


class Page(Struct, Generic[T], frozen=True):
    """A part of a list. `total` counts all that the filters let pass; the offsets are None where there is no page."""

    items: list[T]
    total: int
    next_offset: int | None = None
    prev_offset: int | None = None


class Done(Struct, frozen=True, kw_only=True):
    """What was done, and to what."""

    message: str
    id: str | None = None
    name: str | None = None
