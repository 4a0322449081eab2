"""Ports of this machine that are taken: the layout of /proc/net, and real sockets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runtime.network.listening import listening_tcp, listening_udp
from runtime.network.port_reporter import ports_in_the_way
from runtime.network.routes import PublishedPort

_REST = "00000000:00000000 00:00000000 00000000     0        0 21 1 0000000000000000 100 0 0 10 0"


def _lines(*sockets: tuple[str, str]) -> list[str]:
    return [f"   {i}: {local} 00000000:0000 {state} {_REST}\n" for i, (local, state) in enumerate(sockets)]


@pytest.mark.parametrize(
    ("local", "bind", "taken"),
    [
        ("00000000:0050", "0.0.0.0", True),
        ("0100007F:0050", "0.0.0.0", True),
        ("0100007F:0050", "127.0.0.1", True),
        ("0100007F:0050", "127.0.0.2", False),
        ("00000000:0050", "127.0.0.2", True),
        ("00000000000000000000000000000000:0050", "127.0.0.2", True),
        ("00000000000000000000000001000000:0050", "0.0.0.0", False),
        ("0000000000000000FFFF00000100007F:0050", "0.0.0.0", True),
        ("0000000000000000FFFF00000100007F:0050", "127.0.0.2", False),
    ],
)
def test_what_listens_on_another_address_is_not_in_the_way(local: str, bind: str, taken: bool) -> None:
    expected = [PublishedPort(80, "tcp")] if taken else []
    assert list(listening_tcp(_lines((local, "0A")), bind)) == expected


def test_connections_are_not_listening_and_connected_datagram_sockets_take_no_port() -> None:
    tcp = _lines(("00000000:0016", "0A"), ("0100007F:0050", "01"))
    assert list(listening_tcp(tcp, "0.0.0.0")) == [PublishedPort(22, "tcp")]
    udp = _lines(("0100007F:0050", "01"), ("00000000:0035", "07"))
    assert list(listening_udp(udp, "0.0.0.0")) == [PublishedPort(53, "udp")]


@pytest.mark.parametrize(("kind", "protocol"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
def test_a_real_socket_is_found_at_its_address_only(kind: socket.SocketKind, protocol: str) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with socket.socket(socket.AF_INET, kind) as there:
        port = next(number for number in range(first - 1, 1024, -1) if _bound(there, number))
        if protocol == "tcp":
            there.listen()
        assert PublishedPort(port, protocol) in ports_in_the_way("127.0.0.1")
        assert PublishedPort(port, protocol) not in ports_in_the_way("127.0.0.9")
    assert PublishedPort(port, protocol) not in ports_in_the_way("127.0.0.1")


def _bound(there: socket.socket, port: int) -> bool:
    try:
        there.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
