"""This machine's kernel, as the overlay's driver uses it: netlink in threads, iptables and wg as commands, and news."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import trio
from msgspec.structs import replace

from consensus.model.network import Capability
from runtime.network.overlay import capabilities, commands, listing, netlink, news, wireguard
from runtime.network.overlay.changes import AddWireguard, AnyChange, ConfigureWireguard, NetlinkChange
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import Found
from runtime.network.overlay.keys import TunnelKey
from runtime.network.overlay.plan import WIREGUARD

# linux/netlink.h, linux/rtnetlink.h, linux/netfilter/nfnetlink.h
_NETLINK_ROUTE, _NETLINK_NETFILTER = 0, 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_ROUTE_GROUPS = {"link": 1, "neighbour": 3, "address": 5, "route": 7}
_NFTABLES_GROUP = 7
_DATAGRAM_BYTES = 65536
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_IPV4 = Path("/proc/sys/net/ipv4/conf")
_IPV6 = Path("/proc/sys/net/ipv6/conf")
_LOCK_WAIT_S = 5


class Kernel(Protocol):
    """All raise OverlayError."""

    async def capabilities(self) -> tuple[Capability, ...]: ...
    async def look(self) -> Found: ...
    async def change(self, changes: Sequence[AnyChange]) -> None:
        """In this order, up to the first that fails."""
        ...

    async def adopt_ports(self, pids: Iterable[int]) -> int: ...
    async def forward_packets(self, *, ipv6: bool = False) -> None:
        """Turns forwarding between links on, as Docker does."""
        ...

    async def is_strict(self, link: str) -> bool:
        """Whether what comes in by a link must come from where the answer would go (rp_filter 1, RFC 3704)."""
        ...

    async def saved_rules(self, *, ipv6: bool = False) -> str:
        """The output of iptables-save, or ip6tables-save."""
        ...

    async def restore_rules(self, text: str, *, ipv6: bool = False) -> None: ...

    async def follow(self, tell: Callable[[], None]) -> None:
        """Tells of losses of links, routes and rules, whoever took them away, until cancelled."""
        ...


class HostKernel:
    """The real one; `key` is this node's own."""

    def __init__(self, key: TunnelKey) -> None:
        self._key = key

    async def capabilities(self) -> tuple[Capability, ...]:
        return await capabilities.look()

    async def look(self) -> Found:
        found = await trio.to_thread.run_sync(listing.look)
        return replace(found, wireguard=await wireguard.look(WIREGUARD)) if WIREGUARD in found.links else found

    async def change(self, changes: Sequence[AnyChange]) -> None:
        together: list[NetlinkChange] = []
        for each in changes:
            if not isinstance(each, AddWireguard | ConfigureWireguard):
                together.append(each)
                continue
            await trio.to_thread.run_sync(netlink.change, tuple(together))
            together.clear()
            if isinstance(each, AddWireguard):
                await wireguard.add(each)
            else:
                await wireguard.configure(each, self._key)
        await trio.to_thread.run_sync(netlink.change, tuple(together))

    async def adopt_ports(self, pids: Iterable[int]) -> int:
        return await trio.to_thread.run_sync(netlink.adopt_ports, tuple(pids))

    async def forward_packets(self, *, ipv6: bool = False) -> None:
        await trio.to_thread.run_sync(_forward_packets)
        if ipv6:
            await trio.to_thread.run_sync(_forward_packets6)

    async def is_strict(self, link: str) -> bool:
        return await trio.to_thread.run_sync(_is_strict, link)

    async def saved_rules(self, *, ipv6: bool = False) -> str:
        return await commands.run(["ip6tables-save" if ipv6 else "iptables-save"])

    async def restore_rules(self, text: str, *, ipv6: bool = False) -> None:
        command = "ip6tables-restore" if ipv6 else "iptables-restore"
        await commands.run([command, "--noflush", "--wait", str(_LOCK_WAIT_S)], text)

    async def follow(self, tell: Callable[[], None]) -> None:
        async with trio.open_nursery() as nursery:
            links = tuple(_ROUTE_GROUPS.values())
            nursery.start_soon(_listen, _NETLINK_ROUTE, links, partial(news.of_links, name_of=_link_name), tell)
            nursery.start_soon(_listen, _NETLINK_NETFILTER, (_NFTABLES_GROUP,), news.of_rules, tell)


def _forward_packets() -> None:
    try:
        if _FORWARDING.read_text().strip() != "1":
            _FORWARDING.write_text("1")
    except OSError as error:
        raise OverlayError(f"cannot turn on net.ipv4.ip_forward: {error.strerror}") from error


def _is_strict(link: str) -> bool:
    """The higher of the two values holds (ip-sysctl.rst)."""
    try:
        return max(int((_IPV4 / name / "rp_filter").read_text()) for name in ("all", link)) == 1
    except OSError as error:
        raise OverlayError(f"cannot read net.ipv4.conf.{link}.rp_filter: {error.strerror}") from error


def _forward_packets6() -> None:
    """A link that takes its routes from a router goes on doing so, which it would not by itself (ip-sysctl.rst)."""
    try:
        if (_IPV6 / "all/forwarding").read_text().strip() == "1":
            return
        for each in _IPV6.glob("*/accept_ra"):
            if each.parent.name != "all" and each.read_text().strip() == "1":
                each.write_text("2")
        (_IPV6 / "all/forwarding").write_text("1")
    except OSError as error:
        raise OverlayError(f"cannot turn on forwarding of IPv6: {error.strerror}") from error


def _link_name(index: int) -> str | None:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None


async def _listen(
    protocol: int, groups: Iterable[int], concerns: Callable[[bytes], bool], tell: Callable[[], None]
) -> None:
    try:
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    except OSError:
        # A kernel without nftables has no news of it either; what is missed is found by looking now and then.
        return
    with raw:
        raw.bind((0, 0))
        for group in groups:
            raw.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        while True:
            await trio.lowlevel.wait_readable(raw)
            for datagram in _drain(raw):
                if datagram is None or concerns(datagram):
                    tell()


def _drain(raw: socket.socket) -> Iterator[bytes | None]:
    """What there is to read; None where the kernel had to drop some."""
    while True:
        try:
            yield raw.recv(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError:
            yield None
