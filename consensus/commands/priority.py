"""Priority classes."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.priority import PriorityClass


class CreatePriorityClass(Command, frozen=True):
    priority_class: PriorityClass


class DeletePriorityClass(Command, frozen=True):
    name: str
