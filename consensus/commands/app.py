"""What users ask for of apps."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.app_spec import AppSpec


class DeployApp(Command, frozen=True):
    spec: AppSpec


class ScaleApp(Command, frozen=True):
    """By hand; or, with the `reason` for it, by the app's `autoscale`: then only from `previous` replicas."""

    name: str
    replicas: int
    reason: str = ""
    previous: int = 0


class PlaceGlobalApp(Command, frozen=True):
    """The leader's decision which nodes fit a global app: these have a replica, and no others."""

    name: str
    node_ids: list[str]


class RestartApp(Command, frozen=True):
    name: str


class DeleteApp(Command, frozen=True):
    name: str
