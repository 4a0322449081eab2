"""Scheduled backups: what users ask for, what the leader decides, and what the nodes report."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.backup import BackupSpec


class CreateBackupSchedule(Command, frozen=True):
    spec: BackupSpec


class UpdateBackupSchedule(Command, frozen=True):
    """A whole new spec, for the backups that begin from now on."""

    spec: BackupSpec


class DeleteBackupSchedule(Command, frozen=True):
    """What it stored stays where it is."""

    name: str


class TriggerBackup(Command, frozen=True):
    """By hand: one backup now."""

    name: str


class BeginBackup(Command, frozen=True):
    """The leader's decision that backup `number` begins: for an instant of the schedule, or again after a failure.

    Said twice it counts once. With `skip`, a reason, the instant is left out.
    """

    name: str
    number: int
    scheduled_at_s: float | None = None
    skip: str = ""


class EndBackup(Command, frozen=True):
    """Backup `number` is over: by its node, or by the leader where that is lost. `error` is empty where it is whole."""

    name: str
    number: int
    error: str = ""
    stored: str = ""
    size_bytes: int = 0
    deleted: int = 0
    warning: str = ""
