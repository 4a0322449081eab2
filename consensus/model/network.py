"""The overlay: the ranges that containers get their addresses from, and what each node says of its part."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta, Struct

DEFAULT_RANGE = "10.244.0.0/16"
SERVICE_RANGE = ipaddress.IPv4Network("10.245.0.0/16")
"""Virtual addresses of services; never a range of containers."""
SUBNET_BITS = 24
"""What a node gets: 253 containers beside its gateway."""
SUBNET6_BITS = 64
"""What it gets of the IPv6 ranges, where there are some."""


_UNIQUE_LOCAL = ipaddress.IPv6Network("fc00::/7")


class OverlayMode(enum.StrEnum):
    """How a node's packets to containers of other nodes travel: `VXLAN`: in a tunnel, but to nodes of one LAN without
    it where they have answered so; `HOST_GW`: without it; `OFF`: they do not."""

    OFF = "off"
    VXLAN = "vxlan"
    HOST_GW = "host-gw"


class Encryption(enum.StrEnum):
    """How packets between nodes are sealed. `WIREGUARD`: in tunnels of WireGuard, whatever the nodes' modes."""

    OFF = "off"
    WIREGUARD = "wireguard"


class OverlaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings `overlay.*`."""

    direct: Annotated[
        bool,
        Meta(description="whether nodes of one LAN do without the tunnel once they have answered each other so"),
    ] = True


class OverlayStatus(enum.StrEnum):
    CONNECTED = "connected"
    DEGRADED = "degraded"
    DISABLED = "disabled"


IPV6 = "ipv6"
"""The capability to take part in the ranges of IPv6."""


class Capability(Struct, frozen=True):
    """What a machine has or lacks: `detail` says what serves as it, or what is missing and what that means."""

    name: str
    available: bool
    detail: str


class OverlayReport(Struct, frozen=True, omit_defaults=True):
    """What a node's daemon found of its part; `reason` says what is missing."""

    status: OverlayStatus
    reason: str = ""
    capabilities: tuple[Capability, ...] = ()

    def capability(self, name: str) -> Capability | None:
        return next((each for each in self.capabilities if each.name == name), None)


class Network(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ranges`: subnets are handed out of them in this order; a range is never taken away. `ranges6`: those of IPv6;
    with the first one containers get a second address each."""

    ranges: tuple[str, ...] = (DEFAULT_RANGE,)
    ranges6: tuple[str, ...] = ()
    encryption: Encryption = Encryption.OFF


def range_problem(text: str, taken: Iterable[str]) -> str | None:
    """What is wrong with a new range beside those of its family that are `taken`; None: it can be had."""
    if ":" in text:
        return _range6_problem(text, taken)
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        return f"expected an IPv4 range such as 10.246.0.0/16: {error}"
    if network.prefixlen > SUBNET_BITS:
        return f"expected a /{SUBNET_BITS} or larger, got {text}"
    if not network.is_private or network.is_loopback or network.is_link_local:
        return f"expected a private range, got {text}"
    for other in (*map(ipaddress.IPv4Network, taken), SERVICE_RANGE):
        if network.overlaps(other):
            return f"{text} overlaps with {other}"
    return None


def _range6_problem(text: str, taken: Iterable[str]) -> str | None:
    try:
        network = ipaddress.IPv6Network(text)
    except ValueError as error:
        return f"expected an IPv6 range such as fd12:3456:789a::/48: {error}"
    if network.prefixlen > SUBNET6_BITS:
        return f"expected a /{SUBNET6_BITS} or larger, got {text}"
    if not network.subnet_of(_UNIQUE_LOCAL):
        return f"expected a range of {_UNIQUE_LOCAL} (RFC 4193), got {text}"
    for other in map(ipaddress.IPv6Network, taken):
        if network.overlaps(other):
            return f"{text} overlaps with {other}"
    return None


def in_ranges(ranges: Iterable[str], address: str) -> bool:
    """Whether an address is of one of them."""
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(each) for each in ranges)


def subnets(ranges: Iterable[str]) -> Iterator[str]:
    """Every subnet that can be handed out, in order."""
    for network in map(ipaddress.ip_network, ranges):
        bits = SUBNET_BITS if network.version == 4 else SUBNET6_BITS
        yield from map(str, network.subnets(new_prefix=bits))
