"""Dry runs for the API, over this node's replica: any node can answer, since placing is a function of the state."""

from __future__ import annotations

import time

from api.deps import DeployPlan
from consensus.machine import Machine
from consensus.model.app_spec import AppSpec
from consensus.outcomes import Refusal
from hivemind.orchestrator.dry_run import dry_run
from hivemind.orchestrator.scheduler.capacity import Overcommit


class Planner:
    """Called in a worker thread; it touches only one frozen State."""

    def __init__(self, machine: Machine, overcommit: Overcommit) -> None:
        self._machine = machine
        self._overcommit = overcommit

    def __call__(self, spec: AppSpec) -> DeployPlan | Refusal:
        found = dry_run(self._machine.state, spec, self._overcommit, time.time())
        return found if isinstance(found, Refusal) else DeployPlan(*found)
