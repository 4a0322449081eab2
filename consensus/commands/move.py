"""Moves of running replicas."""

from __future__ import annotations

from consensus.commands.base import Command


class MoveTask(Command, frozen=True):
    """A replacement of this replica starts on `node_id`; when it serves, the replica goes (`rolling`)."""

    task_id: str
    node_id: str
    reason: str


class CancelMove(Command, frozen=True):
    """The replacement does not come to serve: it goes, and the replica stays where it is."""

    task_id: str
