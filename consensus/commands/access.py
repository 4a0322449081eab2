"""Roles, groups, and what is noted of who did what."""

from __future__ import annotations

from msgspec import field

from consensus.commands.base import Command
from consensus.model.access import Group, OwnRole
from consensus.model.audit import AuditNote


class CreateRole(Command, frozen=True):
    role: OwnRole


class UpdateRole(Command, frozen=True):
    """Replaces the role of that name, but for when it was created."""

    role: OwnRole


class DeleteRole(Command, frozen=True):
    """Refused while a user, a group or an API key has it."""

    name: str


class CreateGroup(Command, frozen=True):
    group: Group


class UpdateGroup(Command, frozen=True):
    """Replaces the group of that name, but for when it was created."""

    group: Group


class DeleteGroup(Command, frozen=True):
    name: str


class RecordAccess(Command, frozen=True):
    """What a node saw that changed nothing else: logins, requests that were denied, when API keys were used."""

    notes: list[AuditNote] = field(default_factory=list)
    key_uses: dict[str, float] = field(default_factory=dict)
