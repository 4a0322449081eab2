"""Services."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.namespace import DEFAULT
from consensus.model.service import ServiceChange


class CreateService(ServiceChange, Command, frozen=True, kw_only=True):
    """A service of its own."""

    name: str
    namespace: str = DEFAULT


class UpdateService(ServiceChange, Command, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Replaces what is given."""

    name: str


class DeleteService(Command, frozen=True):
    """One that no app is reached by."""

    name: str
