"""Volumes."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.volume import Volume


class CreateVolume(Command, frozen=True):
    volume: Volume


class BindVolume(Command, frozen=True):
    """A local volume's data is on `node_id` now. Only from `expected`, and while nobody mounts it."""

    name: str
    expected: str | None
    node_id: str


class DeleteVolume(Command, frozen=True):
    name: str
    force: bool = False
