"""The kernel's messages about logged packets, as this machine's kernel sent them, and what is none."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.network.nft.traffic import Told, parse

LISTEN = """
import sys, trio
from runtime.network.nft import traffic
class Log:
    def info(self, event, **told): print(event, *told.values(), flush=True)
    def warning(self, event, **told): print(event, *told.values(), flush=True)
traffic.log = Log()
async def main():
    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(traffic.follow, 7)
            await trio.sleep(0.2)
            with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as client:
                await client.bind(("127.0.0.1", 4000))
                await client.sendto(b"x", ("127.0.0.2", 5000))
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
trio.run(main)
"""
RULES = """
add table ip t
add chain ip t output { type filter hook output priority 0; }
add rule ip t output udp dport 5000 log prefix "drop web-to-db" group 7
"""


def attribute(kind: int, value: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(value), kind) + value
    return data + b"\0" * (-len(data) % 4)


def test_a_message_is_read() -> None:
    packet = bytes.fromhex("450000280000400040060000") + bytes([10, 244, 0, 2, 10, 244, 1, 3]) + b"\x9c\x40\x00\x50"
    body = b"\x02\0\0\x07" + attribute(10, b"allow web-to-db\0") + attribute(9, packet)
    message = struct.pack("=IHHII", 16 + len(body), 4 << 8, 0, 0, 0) + body
    assert list(parse(message + message)) == 2 * [
        Told("allow", "web-to-db", "tcp", "10.244.0.2", 40000, "10.244.1.3", 80)
    ]


@given(st.binary(max_size=200))
def test_rubbish_is_passed_over(data: bytes) -> None:
    assert all(isinstance(told, Told) for told in parse(data))


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft")
def test_the_kernel_tells() -> None:
    script = 'ip link set lo up && printf %s "$1" | nft -f - && exec "$2" -c "$3"'
    argv = ["unshare", "-n", "sh", "-c", script, "sh", RULES, sys.executable, LISTEN]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=60)
    assert done.stdout.split() == [
        "policy_traffic",
        "drop",
        "web-to-db",
        "udp",
        "127.0.0.1",
        "4000",
        "127.0.0.2",
        "5000",
    ]
