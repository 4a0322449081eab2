"""Which probes of a task run: those that its container, its app's check and its service's check ask for. Pure."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.app_spec import AppSpec
from consensus.model.service import ServiceCheck
from consensus.model.task import Health, TaskStatus
from runtime.engine.base import ContainerState
from runtime.health.plan import ProbePlan, plan_of_check, plan_of_service
from runtime.task_effects import Effect, StartProbes, StopProbes, StopServiceProbes


class _Probed(Struct, frozen=True):
    """`plan` None: no check is set."""

    run: int
    plan: ProbePlan | None


def first_health(spec: AppSpec) -> Health:
    """Of a container that was just started."""
    return Health.HEALTHY if spec.health_check is None else Health.STARTING


class TaskProbes:
    """`follow` says what to start and stop, once for each change."""

    def __init__(self) -> None:
        self._own: _Probed | None = None
        self._service: _Probed | None = None

    def follow(
        self, container: ContainerState, spec: AppSpec, check: ServiceCheck | None, status: TaskStatus
    ) -> list[Effect]:
        effects: list[Effect] = []
        run = status.restart_count
        plan = None if spec.health_check is None else plan_of_check(spec.health_check, spec, container)
        own = _Probed(run, plan)
        if own != self._own:
            self._own = own
            effects.append(StartProbes(run, plan, status.health))
        if check is None:
            if self._service is not None:
                self._service = None
                effects.append(StopServiceProbes())
            return effects
        service = _Probed(run, plan_of_service(check, spec, container))
        if service != self._service:
            self._service = service
            effects.append(StartProbes(run, service.plan, status.service_health or Health.STARTING, of_service=True))
        return effects

    def stop(self) -> list[Effect]:
        if self._own is None:
            return []
        self._own = self._service = None
        return [StopProbes()]
