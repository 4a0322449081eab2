"""The route table, a file per noun. A new noun adds its file here."""

from __future__ import annotations

from api.route import Route, check
from api.routes import apps, auth, cluster, containers, health, nodes, services, stream, users, volumes

_NOUNS = (apps, containers, services, volumes, nodes, health, cluster, auth, users, stream)


def all_routes() -> tuple[Route, ...]:
    """Raises RouteTableError where a route does not say who may use it."""
    return check(route for noun in _NOUNS for route in noun.ROUTES)
