"""Hooks of deployments: each is a run that belongs to the deployment, so that its output outlives the app's changes."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import run as runs
from consensus.draft import Draft
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import Deployment, HookRun
from consensus.model.hook import Hook
from consensus.model.image import image_fields
from consensus.model.run import RunStatus

_OWN = (
    "health_check",
    "ports",
    "service",
    "depends_on",
    "update_strategy",
    "min_available",
    "reschedule_after",
    "autoscale",
)
"""What a hook does not take over from its app: it is no replica."""


def begin_hook(draft: Draft, app: App, deployment: Deployment, name: str) -> Deployment:
    """Begins the run of a hook that the deployment's strategy has."""
    hooks = deployment.strategy.hooks
    hook = None if hooks is None else hooks.named(name)
    assert hook is not None, f"{deployment.id} has no hook {name}"
    revision = deployment.old_revision if name == "rollback" else deployment.new_revision
    spec = _spec(draft.state.specs.get((app.name, revision), app.spec), hook, deployment)
    stored = draft.put_spec(spec)
    run, _ = runs.begin(draft, deployment.id, stored, hook.policy, reason=name, number=len(deployment.hook_runs) + 1)
    return replace(deployment, hook_runs=(*deployment.hook_runs, HookRun(name, run.id)))


def _spec(base: AppSpec, hook: Hook, deployment: Deployment) -> AppSpec:
    plain = AppSpec(name=base.name, image=base.image)
    return replace(
        base,
        **{name: getattr(plain, name) for name in _OWN},
        name=deployment.id,
        **image_fields(base if hook.image is None else hook),
        command=hook.argv,
        args=None,
        replicas=0,
        env={**base.env, "HIVEMIND_DEPLOYMENT": deployment.id, "HIVEMIND_APP": base.name, **hook.env},
    )


def stop_hooks(draft: Draft, deployment: Deployment, reason: str) -> None:
    """Those that go on have no point any more."""
    for run in draft.state.runs_of(deployment.id):
        if not run.status.finished:
            runs.finish(draft, run, RunStatus.STOPPED, reason)
