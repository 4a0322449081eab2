"""What the kernel has of the overlay. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

ROUTE_PROTOCOL = 72
"""Marks the routes that are ours; no routing daemon has this number (iproute2, rt_protos)."""


class VxlanFacts(Struct, frozen=True):
    id: int
    port: int
    local: str
    underlay: str | None
    learning: bool


class WireguardPeer(Struct, frozen=True, order=True):
    """Who has `public_key` is at `endpoint` (address and port), and sends from and is sent what is in `subnets`."""

    public_key: str
    endpoint: str
    subnets: tuple[str, ...]


class WireguardFacts(Struct, frozen=True):
    public_key: str
    port: int
    peers: frozenset[WireguardPeer]


class Link(Struct, frozen=True, kw_only=True):
    """`addresses` with prefix length; `master` is the name of the bridge that it is a port of."""

    name: str
    mtu: int
    up: bool
    mac: str = ""
    master: str | None = None
    vxlan: VxlanFacts | None = None
    addresses: frozenset[str] = frozenset()


class Route(Struct, frozen=True, order=True):
    """`onlink`: the gateway is taken to be on the link, whatever the link's own addresses say.

    Without `via` all of the link is one hop away; without `link` nothing gets there.
    """

    subnet: str
    via: str
    link: str
    onlink: bool

    @property
    def key(self) -> tuple[str, bool]:
        """There is one of each: a route to nowhere is beside the one that leads somewhere, and comes after it."""
        return self.subnet, bool(self.link)


class Found(Struct, frozen=True, kw_only=True):
    """`routes` are those of ours; `neighbours` (address, MAC) and `forwarding` (MAC, address) the VXLAN device's.

    `wireguard`: how the device of that name is configured; None where there is none, or it is none of WireGuard's.
    """

    links: Mapping[str, Link]
    routes: frozenset[Route] = frozenset()
    neighbours: frozenset[tuple[str, str]] = frozenset()
    forwarding: frozenset[tuple[str, str]] = frozenset()
    wireguard: WireguardFacts | None = None
