"""A folder laid out as /sys/class/net/<bridge> stands for the kernel's; what is told to the kernel, by the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from runtime.network.nft.bridge_filter import BridgeFilter


class Bridge:
    def __init__(self, links: Path) -> None:
        self.folder = links / "br"
        (self.folder / "bridge").mkdir(parents=True)
        (self.folder / "brif").mkdir()
        for name in ("nf_call_iptables", "nf_call_ip6tables"):
            (self.folder / "bridge" / name).write_text("0\n")

    def add_port(self, name: str) -> None:
        (self.folder / "brif" / name).mkdir()
        self.turn_off(name)

    def turn_off(self, name: str) -> None:
        (self.folder / "brif" / name / "hairpin_mode").write_text("0\n")

    def reflect(self, name: str) -> None:
        (self.folder / "brif" / name / "hairpin_mode").write_text("1")

    def on(self) -> set[str]:
        switches = [*self.folder.glob("bridge/nf_call_*"), *self.folder.glob("brif/*/hairpin_mode")]
        return {s.name if s.parent.name == "bridge" else s.parent.name for s in switches if s.read_text() == "1"}


async def test_a_port_is_switched_on_when_it_comes_and_again_when_all_are_looked_at(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    rules = BridgeFilter("br", links=tmp_path, reflect=bridge.reflect)
    bridge.add_port("veth1")
    assert await rules.ensure(anew=True) is None
    assert bridge.on() == {"nf_call_iptables", "nf_call_ip6tables", "veth1"}
    bridge.add_port("veth2")
    bridge.turn_off("veth1")
    assert await rules.ensure(anew=False) is None
    assert "veth2" in bridge.on()
    assert await rules.ensure(anew=True) is None
    assert {"veth1", "veth2"} < bridge.on()


async def test_a_bridge_that_is_missing_is_told_and_looked_at_whole_once_it_is_there(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "later")
    rules = BridgeFilter("br", links=tmp_path, reflect=bridge.reflect)
    assert await rules.ensure(anew=True) == "there is no bridge br yet"
    bridge.add_port("veth1")
    bridge.folder = bridge.folder.rename(tmp_path / "br")
    with trio.fail_after(5):
        assert await rules.ensure(anew=False) is None
    assert bridge.on() == {"nf_call_iptables", "nf_call_ip6tables", "veth1"}


_SCRIPT = """
import subprocess
from runtime.network.nft.bridge_filter import reflect

for words in ("link add bridge0 type bridge", "link add port master bridge0 type veth peer name other"):
    subprocess.run(["ip", *words.split()], check=True)
reflect("port")
assert open("/sys/class/net/bridge0/brif/port/hairpin_mode").read() == "1\\n"
reflect("none")
reflect("other")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_the_kernel_sends_packets_back_by_a_port_that_is_told_so() -> None:
    """And a link that is gone, or nobody's port, is passed over."""
    alone = ["unshare", "--net", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys && exec "$0" -c "$1"']
    done = subprocess.run([*alone, sys.executable, _SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
