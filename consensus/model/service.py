"""Services: the name and the virtual address under which the replicas of apps are reached.

The endpoints of an app's service follow its tasks' status; a service of its own may also be given addresses.
"""

from __future__ import annotations

import enum
import ipaddress
import zlib
from collections.abc import Container, Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from consensus.model.namespace import DEFAULT
from consensus.model.network import SERVICE_RANGE
from consensus.model.quantity import Duration, duration_s
from consensus.model.workload import PortNumber

RANGE = SERVICE_RANGE
"""Of the virtual addresses; no interface has one of them."""
UNHEALTHY_THRESHOLD = 3
"""Failed connections in a row after which an endpoint is left out, where the health check does not say."""
MAX_WEIGHT = 1000
Protocol = Literal["tcp", "udp"]
Weight = Annotated[int, Meta(ge=0, le=MAX_WEIGHT)]


class Strategy(enum.StrEnum):
    """How requests are spread over a service's endpoints. All but round-robin heed `weights`."""

    ROUND_ROBIN = "round-robin"
    WEIGHTED_ROUND_ROBIN = "weighted-round-robin"
    RANDOM = "random"
    IP_HASH = "ip-hash"
    LEAST_CONNECTIONS = "least-connections"


Threshold = Annotated[int, Meta(ge=1, le=100)]


class ServiceCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a service's replicas are probed, each by its own node: who fails gets no requests until it passes again.

    A new replica gets them after its first pass. Addresses that the service was given are not probed: connections to
    them that fail count, and the user-space proxy serves them. `protocol` is http, https, tcp or command; `path` is
    for http and https, `command` is run in the container by its shell. `port` is a container port, by default the
    app's first.
    """

    protocol: str = "http"
    path: str = "/"
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    command: str | None = None
    interval: Duration = "30s"
    timeout: Duration = "5s"
    healthy_threshold: Threshold = 2
    unhealthy_threshold: Threshold = UNHEALTHY_THRESHOLD


class ServicePort(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A port of the virtual address; with `host_port` published on every node, too.

    `target_port` is the endpoints' (default: the same).
    """

    port: PortNumber
    target_port: PortNumber | None = None
    host_port: PortNumber | None = None
    protocol: Protocol = "tcp"

    @property
    def target(self) -> int:
        return self.target_port or self.port


class GivenEndpoint(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An address that no app stands for. `port` is that of the service's target where it is left out."""

    ip_address: str
    port: PortNumber | None = None
    weight: Weight = 1


class ServiceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of a service users may set; None leaves it as it is.

    Attributes:
        session_affinity: client-ip: a client's connections go to one endpoint, while it is there, and until none
            came for `session_timeout` (3 h).
        prefer: local: endpoints on the node that was asked, as long as there is one.
        proxy_protocol: v2: endpoints are told the client's address ahead of each TCP connection.
        weights: of apps that share the service: which part of the requests each gets. One that is not named has
            its number of endpoints, so that all endpoints are alike.
        ports: those of the virtual address besides the container ports of the service's apps.
        endpoints: addresses besides the service's apps.
    """

    load_balancing_strategy: Strategy | None = None
    health_check: ServiceCheck | None = None
    session_affinity: Literal["none", "client-ip"] | None = None
    session_timeout: Duration | None = None
    prefer: Literal["any", "local"] | None = None
    proxy_protocol: Literal["off", "v2"] | None = None
    weights: dict[str, Weight] | None = None
    ports: list[ServicePort] | None = None
    endpoints: list[GivenEndpoint] | None = None

    def given(self) -> dict[str, Any]:
        """What is set, by name."""
        values = {name: getattr(self, name) for name in ServiceChange.__struct_fields__}
        return {name: value for name, value in values.items() if value is not None}

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field path and what was expected there."""
        if self.session_timeout is not None:
            try:
                if not duration_s(self.session_timeout) > 0:
                    yield "session_timeout", "expected more than 0 seconds"
            except ValueError as error:
                yield "session_timeout", str(error)
        seen: set[tuple[str, int, str]] = set()
        for i, port in enumerate(self.ports or ()):
            for name, number in (("port", port.port), ("host_port", port.host_port)):
                if number is not None and (name, number, port.protocol) in seen:
                    yield f"ports[{i}].{name}", f"{number}/{port.protocol} is there twice"
                elif number is not None:
                    seen.add((name, number, port.protocol))
        for i, endpoint in enumerate(self.endpoints or ()):
            try:
                address = ipaddress.IPv4Address(endpoint.ip_address)
            except ValueError:
                yield f"endpoints[{i}].ip_address", f"expected an IPv4 address, got {endpoint.ip_address!r}"
                continue
            if address in RANGE or address.is_multicast or address.is_unspecified:
                yield f"endpoints[{i}].ip_address", f"expected the address of a server, got {endpoint.ip_address!r}"


class Service(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`virtual_ip` is its own for as long as it exists. `own`: it was made by itself, and stays without apps."""

    name: str
    namespace: str = DEFAULT
    load_balancing_strategy: str = Strategy.ROUND_ROBIN
    health_check: ServiceCheck | None = None
    created_at_s: float
    virtual_ip: str = ""
    own: bool = False
    session_affinity: str = "none"
    session_timeout: Duration = "3h"
    prefer: str = "any"
    proxy_protocol: str = "off"
    weights: dict[str, int] = field(default_factory=dict)
    ports: list[ServicePort] = field(default_factory=list)
    endpoints: list[GivenEndpoint] = field(default_factory=list)

    @property
    def unhealthy_threshold(self) -> int:
        return UNHEALTHY_THRESHOLD if self.health_check is None else self.health_check.unhealthy_threshold

    @property
    def host_ports(self) -> list[tuple[int, str]]:
        """The (host port, protocol) pairs that it publishes itself."""
        return [(port.host_port, port.protocol) for port in self.ports if port.host_port is not None]


def free_address(name: str, taken: Container[str]) -> str | None:
    """A virtual address for service `name`: the same one again where it is free. None: all of them are taken."""
    count = RANGE.num_addresses - 2
    first = zlib.crc32(name.encode()) % count
    for number in range(count):
        address = str(RANGE.network_address + 1 + (first + number) % count)
        if address not in taken:
            return address
    return None
