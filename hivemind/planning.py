"""Dry runs for the API, over this node's replica: any node can answer, since placing is a function of the state."""

from __future__ import annotations

import time

import trio

from api.deps import DeployPlan, PlannedReplica, ScoreParts
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.outcomes import Refusal
from hivemind.leadership import surroundings_of
from hivemind.orchestrator.dry_run import dry_run
from hivemind.orchestrator.scheduler.place import Explained
from membership import Membership


class Planner:
    """Implements `api.deps.Deps.plan_deploy`. The work is done in a thread, over one frozen State."""

    def __init__(self, machine: Machine, membership: Membership) -> None:
        self._machine = machine
        self._membership = membership

    async def __call__(self, spec: AppSpec) -> DeployPlan | Refusal:
        state, surroundings = self._machine.state, surroundings_of(self._membership)
        found = await trio.to_thread.run_sync(dry_run, state, spec, surroundings, time.time(), abandon_on_cancel=True)
        if isinstance(found, Refusal):
            return found
        return DeployPlan([_planned(one) for one in found.replicas], found.preempted)


def _planned(one: Explained) -> PlannedReplica:
    found = one.score
    score = None
    if found is not None:
        parts = {name: round(getattr(found, name), 4) for name in found.__struct_fields__}
        score = ScoreParts(total=round(found.total, 4), **parts)
    return PlannedReplica(
        node_id=one.placement.node_id,
        message=one.placement.message or _why(one),
        score=score,
        replicas_there=one.replicas_there,
        turned_down=list(one.turned_down),
    )


def _why(one: Explained) -> str:
    found = one.score
    if found is None:
        return ""
    parts = [(name.replace("_", " "), getattr(found, name)) for name in found.__struct_fields__]
    told = ", ".join(f"{name} {value:+.2f}" for name, value in parts if value)
    there = f"; {one.replicas_there} of its replicas there already" if one.replicas_there else ""
    others = f"; turned down: {', '.join(one.turned_down)}" if one.turned_down else ""
    return f"score {found.total:.2f} ({told}){there}{others}"
