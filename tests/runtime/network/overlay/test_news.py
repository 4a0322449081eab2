"""Which of the kernel's news wake the overlay's driver, as this kernel tells them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.network.overlay import news

_TOLD = """
import subprocess, sys, trio
from runtime.network.overlay.kernel import HostKernel
from runtime.network.overlay.keys import TunnelKey

async def main():
    told = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HostKernel(TunnelKey("", "")).follow, lambda: told.set())
        await trio.testing.wait_all_tasks_blocked(0.05)
        for line in sys.argv[1:]:
            told = trio.Event()
            subprocess.run(line.split(), check=True)
            with trio.move_on_after(0.3):
                await told.wait()
            print("told" if told.is_set() else "quiet", line)
        nursery.cancel_scope.cancel()

import trio.testing
trio.run(main)
"""


@pytest.mark.lab
def test_losses_of_ours_are_told_and_a_containers_coming_and_going_is_not() -> None:
    steps = [
        "told ip link add name hivemind0 type bridge",
        "quiet ip addr add 10.9.0.1/24 dev hivemind0",
        "quiet ip link set hivemind0 up",
        "quiet ip link add cable0 type veth peer name cable1",
        "quiet ip link set cable0 master hivemind0 up",
        "quiet ip link set cable1 up",
        "quiet ip route add 10.9.1.0/24 dev cable1",
        "quiet ip neigh add 10.9.0.7 lladdr 02:00:00:00:00:07 dev cable1",
        "quiet iptables -t raw -A PREROUTING -d 10.9.0.7 -j DROP",
        "quiet iptables -t raw -D PREROUTING -d 10.9.0.7 -j DROP",
        "quiet ip link del cable0",
        "told iptables -N HIVEMIND-OVERLAY -t mangle",
        "quiet iptables -t mangle -A HIVEMIND-OVERLAY -j ACCEPT",
        "told iptables -t mangle -D HIVEMIND-OVERLAY -j ACCEPT",
        "told nft flush ruleset",
        "told ip addr del 10.9.0.1/24 dev hivemind0",
        "told ip link set hivemind0 down",
        "told ip link del hivemind0",
    ]
    command = ["unshare", "--net", sys.executable, "-c", _TOLD]
    done = subprocess.run([*command, *(step.split(" ", 1)[1] for step in steps)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == steps


@given(st.binary(max_size=200), st.sampled_from([16, 17, 21, 25, 29, 0x0A02, 0x0A03, 0x0A05, 0x0A08]))
def test_no_datagram_breaks_it(body: bytes, kind: int) -> None:
    header = (16 + len(body)).to_bytes(4, sys.byteorder) + kind.to_bytes(2, sys.byteorder) + bytes(10)
    for datagram in (header + body, body, header):
        assert news.of_links(datagram, lambda index: None) in (True, False)
        assert news.of_rules(datagram) in (True, False)
