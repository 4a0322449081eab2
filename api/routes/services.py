"""Services: look at them, make and delete them, and say how requests are spread over their endpoints.

Those of apps come and go with them, and their endpoints follow the containers' status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import InvalidRequest
from api.route import Access, Listing, Route, Subject
from api.views.service import ServiceDetail, ServiceItem, service_detail, service_item
from consensus.commands import CreateService, DeleteService, UpdateService
from consensus.model.namespace import DEFAULT
from consensus.model.quantity import duration_problems
from consensus.model.service import ServiceChange, ServiceCheck, Strategy
from consensus.model.workload import NAME_PATTERN, Name

PROTOCOLS = ("http", "https", "tcp", "command")


class CreateBody(ServiceChange, frozen=True, kw_only=True):
    """A service that stands by itself: its endpoints are given, or those of apps that name it."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN, max_length=253)]
    namespace: Name = DEFAULT


async def list_services(call: Call) -> Answer:
    state = call.state
    return await call.listed(sorted(state.services), lambda name: service_item(state, state.services[name]))


async def get_service(call: Call) -> Answer:
    service = call.named(call.state.services, "service_name", "service")
    return Answer(service_detail(call.state, service))


async def create_service(call: Call) -> Answer:
    body = await call.body(CreateBody)
    refuse_problems(_problems(body, Strategy.ROUND_ROBIN))
    await call.propose(CreateService(name=body.name, namespace=body.namespace, **body.given()))
    return Answer(Message(name=body.name, message="Service created successfully"), status=201)


async def update_service(call: Call) -> Answer:
    name = call.path["service_name"]
    body = await call.body(ServiceChange)
    if not body.given():
        raise InvalidRequest(f"expected at least one of {', '.join(ServiceChange.__struct_fields__)}")
    there = call.state.services.get(name)
    refuse_problems(_problems(body, Strategy.ROUND_ROBIN if there is None else there.load_balancing_strategy))
    await call.propose(UpdateService(name=name, **body.given()))
    return Answer(Message(name=name, message="Service updated successfully"))


async def delete_service(call: Call) -> Answer:
    name = call.path["service_name"]
    await call.propose(DeleteService(name))
    return Answer(Message(name=name, message="Service deleted successfully"))


def _problems(change: ServiceChange, strategy: str) -> Iterator[tuple[str, str]]:
    """`strategy`: the service's so far."""
    yield from change.problems()
    if (change.load_balancing_strategy or strategy) == Strategy.ROUND_ROBIN:
        heeding = f"expected load_balancing_strategy {Strategy.WEIGHTED_ROUND_ROBIN}, say: round-robin has no weights"
        if change.weights:
            yield "weights", heeding
        for i, endpoint in enumerate(change.endpoints or ()):
            if endpoint.weight != 1:
                yield f"endpoints[{i}].weight", heeding
    if change.health_check is not None:
        yield from _check_problems(change.health_check)


def _check_problems(check: ServiceCheck) -> list[tuple[str, str]]:
    problems = []
    if check.protocol not in PROTOCOLS:
        problems.append(("health_check.protocol", f"expected {', '.join(PROTOCOLS)}, got {check.protocol!r}"))
    if not check.path.startswith("/"):
        problems.append(("health_check.path", f"expected a path that begins with /, got {check.path!r}"))
    if check.protocol == "command" and not check.command:
        problems.append(("health_check.command", "required with protocol command"))
    if check.protocol != "command" and check.command is not None:
        problems.append(("health_check.command", f"expected none with protocol {check.protocol}"))
    durations = ("interval", "timeout")
    found = duration_problems(check, durations, positive=durations)
    return problems + [(f"health_check.{name}", text) for name, text in found]


_SERVICE = Subject("services", "service_name")
ROUTES = (
    Route(
        method="GET",
        path="/services",
        access=Access.VIEW,
        permission="services:read",
        handler=list_services,
        listing=Listing("services", ServiceItem),
    ),
    Route(
        method="POST",
        path="/services",
        access=Access.OPERATE,
        permission="services:create",
        handler=create_service,
        body=CreateBody,
        answer=Message,
        status=201,
    ),
    Route(
        method="GET",
        path="/services/{service_name}",
        access=Access.VIEW,
        permission="services:read",
        handler=get_service,
        answer=ServiceDetail,
        subject=_SERVICE,
    ),
    Route(
        method="PUT",
        path="/services/{service_name}",
        access=Access.OPERATE,
        permission="services:update",
        handler=update_service,
        body=ServiceChange,
        answer=Message,
        subject=_SERVICE,
    ),
    Route(
        method="DELETE",
        path="/services/{service_name}",
        access=Access.OPERATE,
        permission="services:delete",
        handler=delete_service,
        answer=Message,
        subject=_SERVICE,
    ),
)
