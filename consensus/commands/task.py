"""What the leader decides about replicas, and what agents report of them."""

from __future__ import annotations

from msgspec import Struct, field

from consensus.commands.base import Command
from consensus.model.task import TaskStatus


class Placement(Struct, frozen=True, omit_defaults=True):
    """A decision about one pending task: a node, or why there is none."""

    task_id: str
    node_id: str | None = None
    message: str = ""


class PlaceTasks(Command, frozen=True):
    placements: list[Placement]


class CreateTasks(Command, frozen=True):
    """New replicas, of the app's current generation, for slots that are free or whose replica is outdated.

    `revision` 0 is the app's own.
    """

    app: str
    slots: list[int]
    revision: int = 0


class RemoveTasks(Command, frozen=True):
    """These replicas are no longer wanted; their agents stop and remove them. `preempted_by` names the app that they
    make room for, if that is why."""

    task_ids: list[str]
    preempted_by: str = ""


class RescheduleTasks(Command, frozen=True):
    """These replicas' node is lost: they are forgotten, and each slot gets a new one."""

    task_ids: list[str]


class TaskReport(Struct, frozen=True):
    task_id: str
    status: TaskStatus


class ReportTasks(Command, frozen=True):
    """A batch of what a node's agent saw. `removed` are tasks of which nothing is left on the node."""

    node_id: str
    reports: list[TaskReport] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
