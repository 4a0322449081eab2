"""Changes of the kernel's links, addresses, routes and forwarding entries, by pyroute2.

Each blocks, so run it in a thread, and raises OverlayError, in words that say what was tried.
"""

from __future__ import annotations

import errno
import importlib.util
import socket
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, assert_never

from runtime.network.overlay.changes import (
    AddAddress,
    AddBridge,
    AddForwarding,
    AddRoute,
    AddVxlan,
    DeleteForwarding,
    DeleteLink,
    DeleteNeighbour,
    DeleteRoute,
    NetlinkChange,
    SetLink,
    SetMac,
    SetNeighbour,
)
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import ROUTE_PROTOCOL, Route
from runtime.network.overlay.plan import BRIDGE

_RTNH_F_ONLINK = 4
_NUD_PERMANENT = 0x80
_NTF_SELF = 2
_IFF_UP = 1
_MAIN_TABLE = 254
_LINK_SCOPE = 253
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_RTN_UNREACHABLE = 7
_IFA_F_NODAD = 2
_LAST_RESORT = 0xF0000000
_NO_NAMESPACE_ID = 0xFFFFFFFF
_LOADING = threading.Lock()
_ALREADY = (errno.EEXIST,)
_UNKNOWN_KIND = (errno.EOPNOTSUPP, errno.ENOTSUP)
_GONE = (errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL)


def load() -> None:
    """Imports what is needed of pyroute2; most processes that import this package never need it.

    Its own __init__ imports all the rest of it, too, and takes twice the time: a second of CPU at a daemon's start.
    Nothing else here imports of it before: its modules import each other in a circle, which two threads that begin at
    different places (the looks at the machine are side by side) do not come through.
    """
    with _LOADING:
        if "pyroute2" not in sys.modules:
            spec = importlib.util.find_spec("pyroute2")
            assert spec is not None
            bare = types.ModuleType("pyroute2")
            bare.__path__ = list(spec.submodule_search_locations or ())
            bare.__spec__ = spec
            sys.modules["pyroute2"] = bare
        import pyroute2.iproute.linux  # noqa: F401


@contextmanager
def _netlink(what: str) -> Iterator[Any]:
    load()
    from pyroute2.iproute.linux import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as kernel:
            yield kernel
    except NetlinkError as error:
        raise OverlayError(f"cannot {what}: {error.args[-1]}") from error
    except OSError as error:
        raise OverlayError(f"cannot {what}: {error}") from error


def change(changes: Iterable[NetlinkChange]) -> None:
    """Makes them, in order. What is there already, or gone already, is as good as done."""
    for each in changes:
        with _netlink(_words(each)) as kernel:
            _tolerant(kernel, each)


def _words(change: NetlinkChange) -> str:
    fields = " ".join(str(getattr(change, name)) for name in change.__struct_fields__)
    return f"{type(change).__name__} {fields}"


def _tolerant(kernel: Any, change: NetlinkChange) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        _make(kernel, change)
    except NetlinkError as error:
        deleting = isinstance(change, DeleteLink | DeleteRoute | DeleteNeighbour | DeleteForwarding)
        if error.code not in (_GONE if deleting else _ALREADY):
            raise


def _make(kernel: Any, change: NetlinkChange) -> None:
    match change:
        case AddBridge(name, mtu, mac):
            kernel.link("add", ifname=name, kind="bridge", address=mac, mtu=mtu)
        case AddVxlan(name, mtu, mac, vni, port, local, underlay):
            family = "vxlan_local6" if ":" in local else "vxlan_local"
            kernel.link(
                "add",
                ifname=name,
                kind="vxlan",
                address=mac,
                mtu=mtu,
                vxlan_id=vni,
                vxlan_port=port,
                vxlan_link=_index(kernel, underlay),
                vxlan_learning=0,
                # RFC 7348 §5; the inner packet has its own.
                vxlan_udp_csum=0,
                **{family: local},
            )
        case DeleteLink(name):
            kernel.link("del", index=_index(kernel, name))
        case SetLink(name, mtu):
            kernel.link("set", index=_index(kernel, name), mtu=mtu, state="up")
        case SetMac(link, mac):
            kernel.link("set", index=_index(kernel, link), address=mac)
        case AddAddress(link, address):
            bare, _, bits = address.partition("/")
            told = {"address": bare, "prefixlen": int(bits), "family": _family(bare)}
            # Nobody else can have it: so it need not be looked for, which a bridge without ports never ends.
            flags = {"flags": _IFA_F_NODAD} if _family(bare) == socket.AF_INET6 else {}
            kernel.addr("add", index=_index(kernel, link), **told, **flags)
        case AddRoute(route):
            kernel.route("replace", **_route(kernel, route))
        case DeleteRoute(route):
            kernel.route("del", **_route(kernel, route))
        case SetNeighbour(link, address, mac):
            index = _index(kernel, link)
            known = _family(address)
            kernel.neigh("replace", family=known, dst=address, lladdr=mac, ifindex=index, state=_NUD_PERMANENT)
        case DeleteNeighbour(link, address):
            kernel.neigh("del", family=_family(address), dst=address, ifindex=_index(kernel, link))
        case AddForwarding(link, mac, address):
            index = _index(kernel, link)
            kernel.fdb("replace", ifindex=index, lladdr=mac, dst=address, state=_NUD_PERMANENT, flags=_NTF_SELF)
        case DeleteForwarding(link, mac, address):
            kernel.fdb("del", ifindex=_index(kernel, link), lladdr=mac, dst=address, flags=_NTF_SELF)
        case _:
            assert_never(change)


def _index(kernel: Any, name: str) -> int:
    found: list[int] = kernel.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, f"there is no link {name}")
    return found[0]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _route(kernel: Any, route: Route) -> dict[str, Any]:
    family = _family(route.subnet)
    told: dict[str, Any] = {"family": family, "dst": route.subnet, "proto": ROUTE_PROTOCOL, "table": _MAIN_TABLE}
    if not route.link:
        return {**told, "type": "unreachable", "priority": _LAST_RESORT}
    told["oif"] = _index(kernel, route.link)
    if route.via:
        told["gateway"] = route.via
    elif family == socket.AF_INET:
        told["scope"] = "link"
    return {**told, "flags": _RTNH_F_ONLINK} if route.onlink else told


def can_make_wireguard(name: str) -> bool:
    """Makes a device of WireGuard, where the kernel has it."""
    load()
    from pyroute2.netlink.exceptions import NetlinkError

    with _netlink(f"add the device {name} of WireGuard") as kernel:
        try:
            kernel.link("add", ifname=name, kind="wireguard")
        except NetlinkError as error:
            if error.code in _UNKNOWN_KIND:
                return False
            if error.code not in _ALREADY:
                raise
    return True


def adopt_ports(pids: Iterable[int]) -> int:
    """Makes the cables of the containers with these first processes ports of the bridge again; how many.

    A cable's other end says by the id of its network namespace whose it is; its name does not.
    """
    adopted = 0
    with _netlink(f"connect containers to {BRIDGE}") as kernel:
        bridge = _index(kernel, BRIDGE)
        spaces = set()
        for pid in pids:
            spaces.add(kernel.get_netnsid(pid=pid)["nsid"])
        spaces.discard(_NO_NAMESPACE_ID)
        for link in kernel.get_links():
            info = link.get("linkinfo")
            if info is None or info.get("kind") != "veth" or link.get("master"):
                continue
            if link.get("link_netnsid") in spaces:
                kernel.link("set", index=link["index"], master=bridge, state="up")
                adopted += 1
    return adopted
