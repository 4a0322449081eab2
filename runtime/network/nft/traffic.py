"""What the kernel tells of logged connections: NFLOG's netlink messages (linux/netfilter/nfnetlink_log.h)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator

import structlog
import trio
from msgspec import Struct

from runtime.network.netlink_messages import attribute, attributes, message, messages

log = structlog.get_logger()

_NETLINK_NETFILTER = 12
_ULOG, _PACKET, _CONFIG = 4, 0, 1
_COMMAND, _MODE, _TIMEOUT = 1, 2, 4
_PAYLOAD, _PREFIX = 9, 10
_BIND, _COPY_PACKET = 1, 2
_GATHERED_CENTISECONDS = 10
"""So long does the kernel keep packets, to tell of several at once."""
_COPIED_BYTES = 96
"""The IP header and the ports behind it."""
_FAMILY_HEADER_BYTES = 4
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
_IPV6_BYTES = 40
_MESSAGE_BYTES = 65536


class Told(Struct, frozen=True):
    """One logged packet. Ports are None where the protocol has none."""

    verdict: str
    policy: str
    protocol: str
    source: str
    source_port: int | None
    target: str
    target_port: int | None


async def follow(group: int) -> None:
    """Writes what comes for `group` to the log, until cancelled."""
    try:
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    except OSError as error:
        log.warning("policy_traffic_not_logged", reason=str(error))
        return
    with raw:
        raw.bind((0, 0))
        raw.setblocking(False)
        for request in _subscription(group):
            raw.send(request)
        while True:
            await trio.lowlevel.wait_readable(raw)
            try:
                data = raw.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                # The kernel had more to tell than fits its buffer.
                log.warning("policy_traffic_lost", reason=str(error))
                continue
            for told in parse(data):
                log.info("policy_traffic", **{name: getattr(told, name) for name in Told.__struct_fields__})


def _subscription(group: int) -> Iterator[bytes]:
    yield _config(group, _COMMAND, struct.pack("=B", _BIND))
    yield _config(group, _TIMEOUT, struct.pack("!I", _GATHERED_CENTISECONDS))
    yield _config(group, _MODE, struct.pack("!IBB", _COPIED_BYTES, _COPY_PACKET, 0))


def _config(group: int, kind: int, value: bytes) -> bytes:
    return message(_ULOG << 8 | _CONFIG, struct.pack("!BBH", socket.AF_UNSPEC, 0, group) + attribute(kind, value))


def parse(data: bytes) -> Iterator[Told]:
    """The packets in one read; other messages are passed over."""
    for kind, body in messages(data):
        if kind == _ULOG << 8 | _PACKET:
            known = dict(attributes(body[_FAMILY_HEADER_BYTES:]))
            told = _told(known.get(_PREFIX, b""), known.get(_PAYLOAD, b""))
            if told is not None:
                yield told


def _told(prefix: bytes, packet: bytes) -> Told | None:
    """The prefix is ``<verdict> <policy>``."""
    if len(packet) < 20 or (packet[0] >> 4 == 6 and len(packet) < _IPV6_BYTES):
        return None
    verdict, _, policy = prefix.rstrip(b"\0").decode(errors="replace").partition(" ")
    if packet[0] >> 4 == 6:
        size, protocol, addresses = _IPV6_BYTES, packet[6], (packet[8:24], packet[24:40])
    else:
        size, protocol, addresses = (packet[0] & 15) * 4, packet[9], (packet[12:16], packet[16:20])
    ports: tuple[int | None, int | None] = (None, None)
    if protocol in (6, 17) and len(packet) >= size + 4:
        ports = struct.unpack_from("!HH", packet, size)
    source, target = (str(ipaddress.ip_address(address)) for address in addresses)
    return Told(verdict, policy, _PROTOCOLS.get(protocol, str(protocol)), source, ports[0], target, ports[1])
