"""Services: look at them, and say how requests are spread over them. Their endpoints follow the containers' status."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import InvalidRequest, NotFound
from api.route import Access, Listing, Route, Subject
from api.views.service import ServiceDetail, ServiceItem, service_detail, service_item
from consensus.commands import UpdateService
from consensus.model.quantity import duration_s
from consensus.model.service import ServiceCheck, Strategy

PROTOCOLS = ("http", "https", "tcp")


class UpdateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    load_balancing_strategy: Strategy | None = None
    health_check: ServiceCheck | None = None


async def list_services(call: Call) -> Answer:
    state = call.state
    return await call.listed(sorted(state.services), lambda name: service_item(state, state.services[name]))


async def get_service(call: Call) -> Answer:
    name = call.path["service_name"]
    service = call.state.services.get(name)
    if service is None:
        raise NotFound(f"there is no service {name!r}")
    return Answer(service_detail(call.state, service))


async def update_service(call: Call) -> Answer:
    name = call.path["service_name"]
    body = await call.body(UpdateBody)
    if body.load_balancing_strategy is None and body.health_check is None:
        raise InvalidRequest("expected load_balancing_strategy, health_check or both")
    if body.health_check is not None:
        refuse_problems(_problems(body.health_check))
    strategy = None if body.load_balancing_strategy is None else body.load_balancing_strategy.value
    await call.propose(UpdateService(name=name, load_balancing_strategy=strategy, health_check=body.health_check))
    return Answer(Message(name=name, message="Service updated successfully"))


def _problems(check: ServiceCheck) -> list[tuple[str, str]]:
    problems = []
    if check.protocol not in PROTOCOLS:
        problems.append(("health_check.protocol", f"expected {', '.join(PROTOCOLS)}, got {check.protocol!r}"))
    if not check.path.startswith("/"):
        problems.append(("health_check.path", f"expected a path that begins with /, got {check.path!r}"))
    for name in ("interval", "timeout"):
        try:
            if duration_s(getattr(check, name)) <= 0:
                problems.append((f"health_check.{name}", "expected more than 0 seconds"))
        except ValueError as error:
            problems.append((f"health_check.{name}", str(error)))
    return problems


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
        body=UpdateBody,
        answer=Message,
        subject=_SERVICE,
    ),
)
