"""Services: made for apps or by themselves, changed, deleted. Each has a virtual address of its own."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import CreateService, DeleteService, UpdateService
from consensus.draft import Draft
from consensus.model.event import EventType
from consensus.model.service import Service, free_address
from consensus.outcomes import AnyOutcome, Done, Refusal, conflict, not_found


def create(draft: Draft, command: CreateService) -> AnyOutcome:
    if command.name in draft.state.services:
        return conflict(f"service {command.name!r} exists already; PUT /services/{command.name} changes it")
    service = Service(name=command.name, namespace=command.namespace, created_at_s=draft.time_s, own=True)
    return _put(draft, replace(service, **command.given()))


def update(draft: Draft, command: UpdateService) -> AnyOutcome:
    service = draft.state.services.get(command.name)
    if service is None:
        return not_found("service", command.name)
    return _put(draft, replace(service, **command.given()))


def delete(draft: Draft, command: DeleteService) -> AnyOutcome:
    service = draft.state.services.get(command.name)
    if service is None:
        return not_found("service", command.name)
    apps = sorted(draft.state.apps_by_service.get(service.name, ()))
    if apps:
        return conflict(f"service {service.name!r} is that of {', '.join(apps[:5])}: it goes with its last app")
    _end(draft, service)
    return Done()


def serve_app(draft: Draft, name: str, app: str, namespace: str) -> None:
    """The service by which `app` is reached; nobody need have made it."""
    if name not in draft.state.services:
        _store(draft, Service(name=name, namespace=namespace, created_at_s=draft.time_s))
        _tell(draft, name, app)


def end_unused(draft: Draft, name: str, app: str) -> None:
    """Ends the service by which `app` was reached, if no other app is and it was made for apps only."""
    service = draft.state.services.get(name)
    if service is not None and not service.own and not draft.state.apps_by_service.get(name):
        _end(draft, service, app)


def _put(draft: Draft, service: Service) -> AnyOutcome:
    refusal = _port_conflict(draft, service)
    if refusal is not None:
        return refusal
    _store(draft, service)
    _tell(draft, service.name)
    return Done()


def _store(draft: Draft, service: Service) -> None:
    if not service.virtual_ip:
        taken = draft.state.service_by_address
        # Without one it still has its published ports and its name.
        service = replace(service, virtual_ip=free_address(service.name, taken) or "")
    draft.put_service(service)


def _end(draft: Draft, service: Service, app: str | None = None) -> None:
    draft.delete_service(service)
    _tell(draft, service.name, app)


def _tell(draft: Draft, name: str, app: str | None = None) -> None:
    resources = [f"service/{name}", *([] if app is None else [f"app/{app}"])]
    draft.emit(EventType.SERVICE_UPDATED, resources, name=name, **({} if app is None else {"app": app}))


def _port_conflict(draft: Draft, service: Service) -> Refusal | None:
    """Where an app or another service publishes what `service` would."""
    for port, protocol in service.host_ports:
        app = draft.state.publisher_of(port, protocol)
        if app is not None:
            return conflict(f"host_port {port}/{protocol} is published by app {app!r} already")
        other = draft.state.service_by_host_port.get((port, protocol))
        if other is not None and other != service.name:
            return conflict(f"host_port {port}/{protocol} is published by service {other!r} already")
    return None
