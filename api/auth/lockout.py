"""Guessing passwords is slowed down: after some failures, each further try must wait twice as long.

Counted for a user at an address, for an address, and (later, and with a shorter wait, so that nobody can lock out
another for long) for a user anywhere. Each node counts for itself. Pure: the time is handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from msgspec import Struct

MAX_KEYS = 10_000
FORGET_S = 900.0


class _Rule(Struct, frozen=True):
    """`free` failures cost nothing; then 1 s, 2 s, 4 s … up to `longest_s`."""

    free: int
    longest_s: float


_AT_ADDRESS = _Rule(5, 300.0)
_ADDRESS = _Rule(20, 300.0)
_USER = _Rule(50, 30.0)


class _Failures(Struct):
    count: int
    last_s: float
    until_s: float


class Lockout:
    """Remembers the `MAX_KEYS` most recent failures."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, username: str, address: str, now_s: float) -> float:
        """How long until the next try is looked at; 0 if it is now."""
        waits = (
            known.until_s - now_s
            for key, _ in _keys(username, address)
            if (known := self._failures.get(key)) is not None
        )
        return max(0.0, *waits, 0.0)

    def failed(self, username: str, address: str, now_s: float) -> None:
        for key, rule in _keys(username, address):
            known = self._failures.get(key)
            if known is None or known.last_s < now_s - FORGET_S:
                known = self._failures[key] = _Failures(0, now_s, now_s)
            known.count += 1
            known.last_s = now_s
            if known.count >= rule.free:
                known.until_s = now_s + min(rule.longest_s, 2.0 ** min(known.count - rule.free, 16))
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, username: str, address: str) -> None:
        """Only this user's failures at this address are forgiven: one good account buys no more guesses."""
        self._failures.pop(_at(username, address), None)


def _at(username: str, address: str) -> str:
    return f"{username}@{address}"


def _keys(username: str, address: str) -> Iterator[tuple[str, _Rule]]:
    yield _at(username, address), _AT_ADDRESS
    yield f"@{address}", _ADDRESS
    yield f"{username}@", _USER
