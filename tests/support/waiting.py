"""Waiting in tests: poll with a deadline, and say what was last seen when it passes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class NeverHappened(AssertionError):
    """The deadline of a wait passed; the message has the last value or error."""


def wait_until(
    predicate: Callable[[], T],
    timeout_s: float,
    what: str = "the condition",
    *,
    poll_s: float = 0.05,
    errors: tuple[type[Exception], ...] = (),
) -> T:
    """Call `predicate` until it answers something true, and return that.

    `errors` are exceptions that mean "not yet" (a refused connection while a daemon starts); others pass.
    Raises NeverHappened after `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        last: object
        try:
            value = predicate()
            if value:
                return value
            last = value
        except errors as error:
            last = error
        if time.monotonic() >= deadline_s:
            raise NeverHappened(f"{what} did not come within {timeout_s} s; last: {last!r}")
        time.sleep(poll_s)


async def wait_until_async(
    predicate: Callable[[], Awaitable[T]],
    timeout_s: float,
    what: str = "the condition",
    *,
    poll_s: float = 0.05,
    errors: tuple[type[Exception], ...] = (),
) -> T:
    """As `wait_until`, for async tests; the clock is trio's, so a MockClock counts too."""
    deadline_s = trio.current_time() + timeout_s
    while True:
        last: object
        try:
            value = await predicate()
            if value:
                return value
            last = value
        except errors as error:
            last = error
        if trio.current_time() >= deadline_s:
            raise NeverHappened(f"{what} did not come within {timeout_s} s; last: {last!r}")
        await trio.sleep(poll_s)
