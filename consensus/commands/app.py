"""What users ask for of apps."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.app_spec import AppSpec


class DeployApp(Command, frozen=True):
    spec: AppSpec


class ScaleApp(Command, frozen=True):
    name: str
    replicas: int


class PlaceGlobalApp(Command, frozen=True):
    """The leader's decision which nodes fit a global app: these have a replica, and no others."""

    name: str
    node_ids: list[str]


class RestartApp(Command, frozen=True):
    name: str


class DeleteApp(Command, frozen=True):
    name: str
