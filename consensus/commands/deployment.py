"""How an app changes from one spec to the next."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.deployment import Change, Move
from consensus.model.strategy import Strategy


class CreateDeployment(Command, frozen=True):
    """Records how an app shall change; with `execute` it begins at once. No strategy: the app's own, or rolling."""

    app: str
    change: Change
    strategy: Strategy | None = None
    execute: bool = False


class ExecuteDeployment(Command, frozen=True):
    deployment_id: str


class PromoteDeployment(Command, frozen=True):
    """By hand: on to the next step, also out of a pause. `variant` names the winner of an A/B test."""

    deployment_id: str
    variant: str | None = None


class RollbackDeployment(Command, frozen=True):
    deployment_id: str


class AdvanceDeployment(Command, frozen=True):
    """The leader's decision. Only at `version`, so that a decision on old news changes nothing."""

    deployment_id: str
    version: int
    move: Move
    message: str = ""
    winner: int = 0


class EndStandby(Command, frozen=True):
    """The set without traffic, if it still is of `revision`, is no longer kept."""

    app: str
    revision: int
