"""The overlay: the ranges that containers get their addresses from, and what each node says of its part."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator

from msgspec import Struct

DEFAULT_RANGE = "10.244.0.0/16"
SERVICE_RANGE = ipaddress.IPv4Network("10.245.0.0/16")
"""Virtual addresses of services; never a range of containers."""
SUBNET_BITS = 24
"""What a node gets: 253 containers beside its gateway."""


class OverlayMode(enum.StrEnum):
    """How a node's packets to containers of other nodes travel. `OFF`: they do not."""

    OFF = "off"
    VXLAN = "vxlan"
    HOST_GW = "host-gw"


class Encryption(enum.StrEnum):
    """How packets between nodes are sealed. `WIREGUARD`: in tunnels of WireGuard, whatever the nodes' modes."""

    OFF = "off"
    WIREGUARD = "wireguard"


class OverlayStatus(enum.StrEnum):
    CONNECTED = "connected"
    DEGRADED = "degraded"
    DISABLED = "disabled"


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
    """`ranges`: subnets are handed out of them in this order; a range is never taken away."""

    ranges: tuple[str, ...] = (DEFAULT_RANGE,)
    encryption: Encryption = Encryption.OFF


def range_problem(text: str, taken: Iterable[str]) -> str | None:
    """What is wrong with a new range beside those that are `taken`; None: it can be had."""
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


def in_ranges(ranges: Iterable[str], address: str) -> bool:
    """Whether an IPv4 address is of one of them."""
    found = ipaddress.IPv4Address(address)
    return any(found in ipaddress.IPv4Network(each) for each in ranges)


def subnets(ranges: Iterable[str]) -> Iterator[str]:
    """Every subnet that can be handed out, in order."""
    for text in ranges:
        for subnet in ipaddress.IPv4Network(text).subnets(new_prefix=SUBNET_BITS):
            yield str(subnet)
