"""Changes made to a real kernel, in a network namespace of its own, and what is seen of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_ALONE = ["unshare", "--net", sys.executable, "-c"]
_SCRIPT = """
import subprocess, time
from msgspec.structs import replace
from runtime.network.overlay import links, netlink
from runtime.network.overlay.found import Route
from runtime.network.overlay.listing import look
from runtime.network.overlay.plan import VXLAN
from tests.runtime.network.overlay.test_links import plan_of

def ip(words):
    subprocess.run(["ip", *words.split()], check=True)

ip("link add eth0 type veth peer name other")
ip("addr add 10.0.0.2/24 dev eth0")
ip("link set eth0 up")
ip("link set other up")
plan = plan_of(3)
both = [replace(peer, subnet6=f"fd12:0:0:{peer.subnet.split('.')[2]}::/64") for peer in plan.peers]
plan = replace(plan, subnet6="fd12::/64", ranges6=("fd12::/48",), peers=tuple(both))

def settle():
    for passes in range(8):
        due = links.changes(plan, look())
        if not due:
            return
        netlink.change(due)
    raise AssertionError(due)

settle()
deadline = time.monotonic() + 10
while "inet6 fe80" not in subprocess.check_output(["ip", "addr", "show", VXLAN], text=True):
    assert time.monotonic() < deadline, "this kernel has no IPv6, or the link no address of its own"
assert links.changes(plan, look()) == []
assert "via fe80::af4:100" in subprocess.check_output(["ip", "-6", "route", "get", "fd12:0:0:1::7"], text=True)
ip("link add bridge type bridge")
ip("link set other master bridge")
ip("route add 10.99.0.0/24 via 10.0.0.9 dev eth0 onlink proto 72")
ip("route add 10.98.0.0/24 via 10.0.0.9 dev eth0 onlink")
found = look()
assert (found.links["other"].master, found.links["eth0"].master) == ("bridge", None)
assert found.links["eth0"].addresses == {"10.0.0.2/24"}
assert {r for r in found.routes if r.link == "eth0"} == {Route("10.99.0.0/24", "10.0.0.9", "eth0", True)}
ip(f"link del {VXLAN}")
settle()
netlink.change(links.removal(look()))
assert VXLAN not in look().links
assert not look().routes
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_links_settle_also_where_the_kernel_gives_each_an_ipv6_address_of_its_own() -> None:
    """It would be taken for a tunnel that is not as it was made, and be made anew for ever."""
    done = subprocess.run([*_ALONE, _SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


_SIDE_BY_SIDE = """
import sys, threading
from contextlib import contextmanager
from runtime.network.overlay import netlink
from runtime.network.overlay.errors import OverlayError

@contextmanager
def refused(what):
    raise OverlayError(what)
    yield

netlink._netlink = refused
failed = []
def probe():
    try:
        netlink.can_make_wireguard("none")
    except OverlayError:
        pass
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=target) for target in (probe, netlink.load, probe)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
assert not hasattr(sys.modules["pyroute2"], "IPDB"), "all of pyroute2 was imported"
"""


def test_the_looks_at_the_machine_import_pyroute2_side_by_side() -> None:
    """One imported all of it, with its circles, while another had begun inside: a daemon that was started again died
    of an ImportError."""
    done = subprocess.run(
        [sys.executable, "-c", _SIDE_BY_SIDE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
