"""Volumes."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.volume import Volume


class CreateVolume(Command, frozen=True):
    volume: Volume


class DeleteVolume(Command, frozen=True):
    name: str
    force: bool = False
