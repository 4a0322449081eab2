"""What the kernel has of links, addresses, routes, neighbours and forwarding entries (rtnetlink(7)).

A look is made often, also to find that nothing is missing, and each container has a link with addresses and routes:
so only the few fields that count are read, straight from the kernel's messages.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping

from runtime.network.netlink_dump import dump
from runtime.network.netlink_messages import attribute, attributes
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import ROUTE_PROTOCOL, Found, Link, Route, VxlanFacts
from runtime.network.overlay.plan import VXLAN
from runtime.network.rtnetlink import (
    ADDRESS,
    BRIDGE_FAMILY,
    LINK,
    LINK_IS_UP,
    LINK_NAME,
    LINK_SCOPE,
    NEIGHBOUR,
    PERMANENT,
    PROTOCOL,
    ROUTE,
)

_GET_LINK, _GET_ADDRESS, _GET_ROUTE, _GET_NEIGHBOUR = 18, 22, 26, 30
_NUMBER = struct.Struct("=I")
_KIND = 0x3FFF
"""Of an attribute, without its flags."""
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

# linux/if_link.h
_IFLA_ADDRESS, _IFLA_MTU, _IFLA_MASTER, _IFLA_INFO, _IFLA_EXTENSIONS = 1, 4, 10, 18, 29
_INFO_KIND, _INFO_DATA = 1, 2
_VXLAN_ID, _VXLAN_LINK, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_LOCAL6 = 1, 3, 4, 7, 15, 17
_SKIP_STATISTICS = 1 << 3
# linux/if_addr.h
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
# linux/rtnetlink.h
_RTA_DESTINATION, _RTA_LINK, _RTA_GATEWAY = 1, 4, 5
_MAIN_TABLE = 254
_UNREACHABLE = 7
_ONLINK = 4
# linux/neighbour.h
_NDA_DESTINATION, _NDA_MAC, _NDA_LINK = 1, 2, 8


def look() -> Found:
    """What is there now. Blocks for a moment: run it in a thread. Raises OverlayError."""
    try:
        return _look()
    except OSError as error:
        raise OverlayError(f"cannot read the links of this machine: {error}") from error


def _look() -> Found:
    request = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _number(_IFLA_EXTENSIONS, _SKIP_STATISTICS)
    raw = {LINK.unpack_from(body)[2]: body for body in dump(PROTOCOL, _GET_LINK, request)}
    told = {index: _told(body[LINK.size :]) for index, body in raw.items()}
    names = {index: _text(of_link[LINK_NAME]) for index, of_link in told.items()}
    addresses = _addresses()
    links = [
        _link(
            told[index], names, up=bool(LINK.unpack_from(body)[3] & LINK_IS_UP), addresses=addresses.get(index, set())
        )
        for index, body in raw.items()
    ]
    tunnel = next((index for index, name in names.items() if name == VXLAN), None)
    return Found(
        links={link.name: link for link in links},
        routes=frozenset(_routes(names)),
        neighbours=frozenset() if tunnel is None else frozenset(_neighbours(tunnel)),
        forwarding=frozenset() if tunnel is None else frozenset(_forwarding(tunnel)),
    )


def _link(told: Mapping[int, bytes], names: Mapping[int, str], *, up: bool, addresses: set[str]) -> Link:
    info = _told(told.get(_IFLA_INFO, b""))
    is_vxlan = _text(info.get(_INFO_KIND, b"")) == "vxlan" and _INFO_DATA in info
    return Link(
        name=_text(told[LINK_NAME]),
        mtu=_NUMBER.unpack(told[_IFLA_MTU])[0],
        up=up,
        mac=told.get(_IFLA_ADDRESS, b"").hex(":"),
        master=_named(told.get(_IFLA_MASTER), names),
        vxlan=_vxlan(_told(info[_INFO_DATA]), names) if is_vxlan else None,
        addresses=frozenset(addresses),
    )


def _vxlan(told: Mapping[int, bytes], names: Mapping[int, str]) -> VxlanFacts:
    local = told.get(_VXLAN_LOCAL) or told.get(_VXLAN_LOCAL6) or b""
    return VxlanFacts(
        _NUMBER.unpack(told[_VXLAN_ID])[0],
        int.from_bytes(told[_VXLAN_PORT]),
        _address(local) if local else "",
        _named(told.get(_VXLAN_LINK), names),
        any(told.get(_VXLAN_LEARNING, b"")),
    )


def _addresses() -> dict[int, set[str]]:
    """By the link's index. A kernel with IPv6 gives one of its own to every link: those are left out."""
    found: dict[int, set[str]] = {}
    for body in dump(PROTOCOL, _GET_ADDRESS, ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, bits, _, scope, index = ADDRESS.unpack_from(body)
        if scope == LINK_SCOPE:
            continue
        told = _told(body[ADDRESS.size :])
        # Of a link to one other machine, the address is that one's, and the local one is ours.
        if (own := told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS)) is not None:
            found.setdefault(index, set()).add(f"{_address(own)}/{bits}")
    return found


def _routes(names: Mapping[int, str]) -> Iterator[Route]:
    for wanted in _FAMILIES:
        request = ROUTE.pack(wanted, 0, 0, 0, _MAIN_TABLE, ROUTE_PROTOCOL, 0, 0, 0)
        for body in dump(PROTOCOL, _GET_ROUTE, request):
            family, bits, _, _, table, protocol, _, kind, flags = ROUTE.unpack_from(body)
            if (family, table, protocol) != (wanted, _MAIN_TABLE, ROUTE_PROTOCOL):
                continue
            told = _told(body[ROUTE.size :])
            if _RTA_DESTINATION not in told:
                continue
            link = "" if kind == _UNREACHABLE else _named(told.get(_RTA_LINK), names) or ""
            gateway = _address(told[_RTA_GATEWAY]) if _RTA_GATEWAY in told else ""
            yield Route(f"{_address(told[_RTA_DESTINATION])}/{bits}", gateway, link, bool(flags & _ONLINK))


def _neighbours(link: int) -> Iterator[tuple[str, str]]:
    """Address and MAC of those that stay."""
    for family in _FAMILIES:
        request = NEIGHBOUR.pack(family, 0, 0, 0, 0, 0) + _number(_NDA_LINK, link)
        for state, mac, address in _entries(request, family, link):
            if state & PERMANENT:
                yield address, mac


def _forwarding(link: int) -> Iterator[tuple[str, str]]:
    """MAC and address."""
    request = NEIGHBOUR.pack(BRIDGE_FAMILY, 0, link, 0, 0, 0)
    for _, mac, address in _entries(request, BRIDGE_FAMILY, link):
        yield mac, address


def _entries(request: bytes, wanted: int, link: int) -> Iterator[tuple[int, str, str]]:
    """State, MAC and address."""
    for body in dump(PROTOCOL, _GET_NEIGHBOUR, request):
        family, _, index, state, _, _ = NEIGHBOUR.unpack_from(body)
        told = _told(body[NEIGHBOUR.size :])
        if (family, index) == (wanted, link) and _NDA_DESTINATION in told and _NDA_MAC in told:
            yield state, told[_NDA_MAC].hex(":"), _address(told[_NDA_DESTINATION])


def _told(data: bytes) -> dict[int, bytes]:
    return {kind & _KIND: value for kind, value in attributes(data)}


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, _NUMBER.pack(value))


def _named(index: bytes | None, names: Mapping[int, str]) -> str | None:
    return None if index is None else names.get(_NUMBER.unpack(index)[0])


def _address(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
