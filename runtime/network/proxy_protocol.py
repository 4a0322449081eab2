"""The PROXY protocol's version 2 header (haproxy.org, proxy-protocol.txt §2.2): who the client is. Pure."""

from __future__ import annotations

import ipaddress
import struct

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_PROXY = 0x21
_STREAM_V4, _STREAM_V6 = 0x11, 0x21


def header(client: tuple[str, int], server: tuple[str, int]) -> bytes:
    """What goes ahead of a TCP connection's first byte: address and port of the client, and of what it asked."""
    source, target = ipaddress.ip_address(client[0].split("%")[0]), ipaddress.ip_address(server[0].split("%")[0])
    if source.version != target.version:
        source, target = _as_v6(source), _as_v6(target)
    body = source.packed + target.packed + struct.pack("!HH", client[1], server[1])
    family = _STREAM_V4 if source.version == 4 else _STREAM_V6
    return _SIGNATURE + struct.pack("!BBH", _VERSION_PROXY, family, len(body)) + body


def _as_v6(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
