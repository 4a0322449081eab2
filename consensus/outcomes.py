"""What applying a command answers. A refusal is a value, not an exception: it is agreed like everything else."""

from __future__ import annotations

import enum

from msgspec import Struct


class RefusalCode(enum.StrEnum):
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    CHANGED = "changed"
    """It is not any more what the client saw (If-Match)."""
    DENIED = "permission_denied"
    """It is in a namespace where the user may not do it."""


class Outcome(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all outcomes."""


class Done(Outcome, frozen=True):
    """Applied; there is nothing more to tell."""


class Refusal(Outcome, frozen=True):
    """Nothing was changed. `operation`: which command of a Batch was refused, from 0."""

    code: RefusalCode
    message: str
    operation: int | None = None


class Deployed(Outcome, frozen=True):
    name: str
    service: str
    task_ids: list[str]


class Scaled(Outcome, frozen=True):
    name: str
    previous_replicas: int
    new_replicas: int
    created: list[str]
    removed: list[str]


class Recorded(Outcome, frozen=True):
    """A deployment was recorded, and where it was asked for begun."""

    deployment_id: str
    app: str


class RunStarted(Outcome, frozen=True):
    """`task_ids` are the first attempts."""

    run_id: str
    task_ids: list[str]


class BackupStarted(Outcome, frozen=True):
    """The number of the backup that begins."""

    number: int


class Batched(Outcome, frozen=True):
    """What each command of a Batch answers, in order."""

    outcomes: list[Done | Deployed | Scaled | Recorded | RunStarted | BackupStarted]


AnyOutcome = Done | Refusal | Deployed | Scaled | Batched | Recorded | RunStarted | BackupStarted


def not_found(kind: str, name: str) -> Refusal:
    return Refusal(code=RefusalCode.NOT_FOUND, message=f"there is no {kind} {name!r}")


def conflict(message: str) -> Refusal:
    return Refusal(code=RefusalCode.CONFLICT, message=message)


def invalid(message: str) -> Refusal:
    return Refusal(code=RefusalCode.INVALID, message=message)


def beyond(level: int, needed: int) -> Refusal:
    """Of a command that not all nodes could apply."""
    return conflict(f"this needs feature level {needed}, the cluster is at {level} until all of its nodes are upgraded")
