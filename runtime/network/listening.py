"""Which ports of this machine cannot be opened, since something listens there. Pure; texts as /proc/net has them.

Layout: linux/Documentation/networking/proc_net_tcp.rst. Listening TCP sockets come before all others there, so what
stands behind the first other one need not be read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from runtime.network.routes import PublishedPort

_LISTENS, _UNCONNECTED = "0A", "07"
_WORD_DIGITS = 8


def listening_tcp(lines: Iterable[str], bind: str) -> Iterator[PublishedPort]:
    """From tcp or tcp6, without the heading."""
    for line in lines:
        _, local, _, state, *_ = line.split()
        if state != _LISTENS:
            return
        yield from _in_the_way(local, bind, "tcp")


def listening_udp(lines: Iterable[str], bind: str) -> Iterator[PublishedPort]:
    """From udp or udp6, without the heading."""
    for line in lines:
        _, local, _, state, *_ = line.split()
        if state == _UNCONNECTED:
            yield from _in_the_way(local, bind, "udp")


def _in_the_way(local: str, bind: str, protocol: str) -> Iterator[PublishedPort]:
    """What listens on one address leaves the port free on others, but not on all."""
    address, port = local.split(":")
    own, other = ipaddress.ip_address(bind), _address(address)
    if isinstance(other, ipaddress.IPv6Address) and other.is_unspecified:
        # Most take connections of IPv4 as well.
        other = ipaddress.IPv4Address(0)
    if own.version == other.version and (own == other or own.is_unspecified or other.is_unspecified):
        yield PublishedPort(int(port, 16), protocol)


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Words in the order of this machine's bytes, which is the little one wherever we run."""
    words = (bytes.fromhex(digits[i : i + _WORD_DIGITS])[::-1] for i in range(0, len(digits), _WORD_DIGITS))
    address = ipaddress.ip_address(b"".join(words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
