"""What a deployment does when its hooks have ended, and whose output is no longer kept."""

from __future__ import annotations

from consensus.commands import ForgetRuns
from consensus.model.deployment import Deployment, Move
from consensus.model.run import RunStatus
from consensus.state import State

KEPT = 5
"""Finished deployments of an app whose hooks' output is kept."""

Advance = tuple[Move, str]
"""A move of a deployment, and what is told of it."""


def after_hook(state: State, deployment: Deployment, name: str, then: Advance) -> Advance | None:
    """`then`, when the hook has ended well, or there is none; None while it goes on."""
    hooks = deployment.strategy.hooks
    if hooks is None or hooks.named(name) is None or name in deployment.skipped_hooks:
        return then
    run_id = deployment.run_of_hook(name)
    if run_id is None:
        return Move.HOOK, f"the {name} hook runs"
    run = state.runs.get(run_id)
    if run is None or run.status is RunStatus.SUCCEEDED:
        return then
    if not run.status.finished:
        return None
    told = f"the {name} hook failed: {run.message}"
    if name == "rollback":
        return then[0], f"{then[1]}; {told}"
    return then if deployment.strategy.failure_action == "continue" else (Move.FAIL, told)


def forgotten(state: State) -> list[ForgetRuns]:
    """The runs of all but the newest deployments of each app."""
    by_app: dict[str, list[Deployment]] = {}
    stale: list[str] = []
    for owner in state.run_ids_by_owner:
        deployment = state.deployments.get(owner)
        if deployment is None:
            if owner.startswith("deployment-") and owner not in state.jobs:
                stale.append(owner)
        elif deployment.status.finished:
            by_app.setdefault(deployment.app, []).append(deployment)
    for deployments in by_app.values():
        deployments.sort(key=lambda deployment: (-deployment.created_at_s, deployment.id))
        stale += (deployment.id for deployment in deployments[KEPT:])
    run_ids = sorted(run.id for owner in stale for run in state.runs_of(owner) if run.status.finished)
    return [ForgetRuns(run_ids)] if run_ids else []
