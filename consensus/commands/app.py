"""What users ask for of apps."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.app_spec import AppSpec


class DeployApp(Command, frozen=True):
    spec: AppSpec


class ScaleApp(Command, frozen=True):
    name: str
    replicas: int


class RestartApp(Command, frozen=True):
    name: str


class DeleteApp(Command, frozen=True):
    name: str
