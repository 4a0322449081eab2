"""Moves: a replica that serves is replaced by one on another node, for no other reason than where it is."""

from __future__ import annotations

from msgspec import Struct


class Move(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one task; forgotten with it. One that failed stays, so that it is not tried again at once.

    Attributes:
        node_id: where its replacement was placed.
    """

    task_id: str
    node_id: str
    began_at_s: float
    reason: str
    failed_at_s: float | None = None

    @property
    def under_way(self) -> bool:
        return self.failed_at_s is None
