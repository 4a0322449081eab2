"""Loopback addresses for tests that need several "machines" with the same ports on one machine (Linux: all
of 127.0.0.0/8 is local)."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence

_TRIES = 50


def free_addresses(count: int, ports: Sequence[int] = (4483, 7946)) -> list[str]:
    """`count` neighbours 127.a.b.1, 127.a.b.2, … on all of which `ports` are free for TCP and UDP now.

    The block is random, so that test runs beside each other do not meet. Raises OSError if none is free.
    """
    for _ in range(_TRIES):
        block = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}"
        addresses = [f"{block}.{last}" for last in range(1, count + 1)]
        if all(is_free(address, port) for address in addresses for port in ports):
            return addresses
    raise OSError(f"no block of {count} loopback addresses with the ports {list(ports)} free")


def is_free(address: str, port: int) -> bool:
    """Whether nobody listens at `address`:`port`, by TCP or UDP."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
