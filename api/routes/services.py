"""Services: look at them. Their endpoints follow the containers' status."""

from __future__ import annotations

from api.answer import Answer
from api.call import Call
from api.errors import NotFound
from api.route import Access, Listing, Route
from api.views.service import ServiceItem, service_detail, service_item


async def list_services(call: Call) -> Answer:
    state = call.state
    return await call.listed(sorted(state.services), lambda name: service_item(state, state.services[name]))


async def get_service(call: Call) -> Answer:
    name = call.path["service_name"]
    service = call.state.services.get(name)
    if service is None:
        raise NotFound(f"there is no service {name!r}")
    return Answer(service_detail(call.state, service))


ROUTES = (
    Route(
        method="GET",
        path="/services",
        access=Access.VIEW,
        handler=list_services,
        listing=Listing("services", ServiceItem),
    ),
    Route(method="GET", path="/services/{service_name}", access=Access.VIEW, handler=get_service),
)
