"""Several operations at once."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a batch. `path` is below ``/api``."""

    method: str
    path: str
    body: Any = None


class OperationError(Struct, frozen=True, kw_only=True):
    code: str
    message: str


class OperationResult(Struct, frozen=True, kw_only=True):
    """`data` is as the operation answers it."""

    success: bool
    status: int = 0
    data: Any = None
    error: OperationError | None = None
