"""Services: how requests are spread over their replicas, and how those are probed."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import UpdateService
from consensus.draft import Draft
from consensus.model.event import EventType
from consensus.outcomes import AnyOutcome, Done, not_found


def update(draft: Draft, command: UpdateService) -> AnyOutcome:
    service = draft.state.services.get(command.name)
    if service is None:
        return not_found("service", command.name)
    draft.put_service(
        replace(
            service,
            load_balancing_strategy=command.load_balancing_strategy or service.load_balancing_strategy,
            health_check=command.health_check or service.health_check,
        )
    )
    draft.emit(EventType.SERVICE_UPDATED, [f"service/{service.name}"], name=service.name)
    return Done()
