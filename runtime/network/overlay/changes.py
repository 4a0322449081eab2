"""What can be done to the kernel's links, routes and entries. Pure.

Changes name links, not indexes: what one change makes the next may use.
"""

from __future__ import annotations

from msgspec import Struct

from runtime.network.overlay.found import Route, WireguardPeer


class Change(Struct, frozen=True, tag=True):
    """Base of what can be done."""


class AddBridge(Change, frozen=True):
    name: str
    mtu: int
    mac: str


class AddVxlan(Change, frozen=True):
    name: str
    mtu: int
    mac: str
    id: int
    port: int
    local: str
    underlay: str


class AddWireguard(Change, frozen=True):
    """By the kernel, or by a process that stands in for it."""

    name: str


class ConfigureWireguard(Change, frozen=True):
    """With this node's own private key. Peers that are not named are forgotten."""

    link: str
    port: int
    peers: tuple[WireguardPeer, ...]


class DeleteLink(Change, frozen=True):
    name: str


class SetLink(Change, frozen=True):
    """Up, with this MTU."""

    name: str
    mtu: int


class SetMac(Change, frozen=True):
    link: str
    mac: str


class AddAddress(Change, frozen=True):
    link: str
    address: str


class AddRoute(Change, frozen=True):
    """Replaces another one of ours to the same subnet."""

    route: Route


class DeleteRoute(Change, frozen=True):
    route: Route


class SetNeighbour(Change, frozen=True):
    link: str
    address: str
    mac: str


class DeleteNeighbour(Change, frozen=True):
    link: str
    address: str


class AddForwarding(Change, frozen=True):
    link: str
    mac: str
    address: str


class DeleteForwarding(Change, frozen=True):
    link: str
    mac: str
    address: str


NetlinkChange = (
    AddBridge
    | AddVxlan
    | DeleteLink
    | SetLink
    | SetMac
    | AddAddress
    | AddRoute
    | DeleteRoute
    | SetNeighbour
    | DeleteNeighbour
    | AddForwarding
    | DeleteForwarding
)

AnyChange = NetlinkChange | AddWireguard | ConfigureWireguard
