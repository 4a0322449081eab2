"""The route table, a file per noun. A new noun adds its file here."""

from __future__ import annotations

from api.route import Route, check
from api.routes import (
    alerts,
    apps,
    audit,
    auth,
    backup_schedules,
    batch,
    cluster,
    cluster_keys,
    config,
    containers,
    deployments,
    docs,
    exec,
    graphql,
    groups,
    health,
    jobs,
    network_policies,
    nodes,
    overlay,
    priority_classes,
    roles,
    services,
    stream,
    upkeep,
    users,
    volume_data,
    volumes,
)
from api.sockets import SocketRoute

_NOUNS = (
    apps,
    alerts,
    deployments,
    jobs,
    containers,
    services,
    network_policies,
    volumes,
    volume_data,
    backup_schedules,
    nodes,
    overlay,
    priority_classes,
    health,
    cluster,
    upkeep,
    config,
    cluster_keys,
    auth,
    users,
    groups,
    roles,
    audit,
    batch,
    docs,
    graphql,
    stream,
)


def all_routes() -> tuple[Route, ...]:
    """Raises RouteTableError where a route does not say who may use it."""
    return check(route for noun in _NOUNS for route in noun.ROUTES)


def all_sockets() -> tuple[SocketRoute, ...]:
    return (*stream.SOCKETS, *exec.SOCKETS, *graphql.SOCKETS)
