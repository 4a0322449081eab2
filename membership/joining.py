"""Calls of `Membership.join` that wait for their outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import trio

from membership.effects import JoinOutcome


class JoinReport(msgspec.Struct, frozen=True):
    """How joining went, peer by peer."""

    joined: tuple[str, ...]
    failed: Mapping[str, str]
    """Peer name to the reason."""


class Joining(msgspec.Struct):
    """One such call."""

    waiting: set[str]
    joined: list[str]
    failed: dict[str, str]
    done: trio.Event


class Joins:
    """All that wait."""

    def __init__(self) -> None:
        self._joins: list[Joining] = []

    def begin(self, names: Iterable[str]) -> Joining:
        """A call that waits for these peers. Hand it to `end`, however it goes."""
        joining = Joining(set(names), [], {}, trio.Event())
        self._joins.append(joining)
        return joining

    def end(self, joining: Joining) -> None:
        """The call is over."""
        self._joins.remove(joining)

    def outcome(self, outcome: JoinOutcome) -> None:
        """A peer answered, or did not."""
        for joining in self._joins:
            if outcome.peer in joining.waiting:
                joining.waiting.remove(outcome.peer)
                if outcome.error is None:
                    joining.joined.append(outcome.peer)
                else:
                    joining.failed[outcome.peer] = outcome.error
                if not joining.waiting:
                    joining.done.set()

    def abandon(self) -> None:
        """Nobody is left to finish them: let who waits for them go on."""
        for joining in self._joins:
            joining.failed.update(dict.fromkeys(joining.waiting, "this member stopped"))
            joining.waiting.clear()
            joining.done.set()
