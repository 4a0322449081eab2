"""The lab's network: one switch (a bridge in a namespace of its own), a port and a cable for each host, and
the faults that a network has."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.lab.commands import LabError, in_netns, process_name, run, send_signal
from tests.lab.place import Place

_HERE = Path(__file__).parent
_QUEUE = "66"
_LOSS_STEPS = 10_000
_NO_IPV6 = "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
_FAULTS = """
table bridge lab {
  chain partition { }
  chain loss { }
  chain forward {
    type filter hook forward priority 0; policy accept;
    jump partition
    jump loss
  }
}
"""


class Switch:
    """Hosts are known by their numbers from 1; host K has the address .10+K and the port pK."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._cable = f"{place.prefix}o"
        self._delays: dict[int, subprocess.Popen[bytes]] = {}

    def address(self, number: int) -> str:
        return f"{self.place.network}.{10 + number}"

    def netns(self, number: int) -> str:
        return f"{self.place.prefix}h{number}"

    def up(self) -> None:
        """Make the switch, and a cable from it to this machine (so that tests can talk to the hosts)."""
        place = self.place
        run(["ip", "netns", "add", place.switch])
        in_netns(
            place.switch,
            ["sh", "-e"],
            given=f"""
                for table in iptables ip6tables arptables; do
                  sysctl -qw net.bridge.bridge-nf-call-$table=0 2>/dev/null || true
                done
                sysctl -qw net.ipv4.ip_forward=0 {_NO_IPV6}
                ip link set lo up
                ip link add br0 type bridge forward_delay 0 stp_state 0
                ip addr add {place.gateway}/24 dev br0
                ip link set br0 up
            """,
        )
        self._nft(_FAULTS)
        run(["ip", "link", "add", self._cable, "type", "veth", "peer", "name", "out", "netns", place.switch])
        in_netns(place.switch, ["ip", "link", "set", "out", "master", "br0", "up"])
        run(["sysctl", "-qw", f"net.ipv6.conf.{self._cable}.disable_ipv6=1"])
        run(["ip", "addr", "add", f"{place.observer}/24", "dev", self._cable])
        run(["ip", "link", "set", self._cable, "up"])

    def plug(self, number: int) -> None:
        """Make the network namespace of a host and plug it in."""
        name, port = self.netns(number), f"p{number}"
        run(["ip", "netns", "add", name])
        cable = ["type", "veth", "peer", "name", "eth0", "netns", name]
        run(["ip", "link", "add", port, "netns", self.place.switch, *cable])
        in_netns(self.place.switch, ["ip", "link", "set", port, "master", "br0", "up"])
        in_netns(
            name,
            ["sh", "-e"],
            given=f"""
                sysctl -qw {_NO_IPV6} net.ipv4.ip_forward=1
                ip link set lo up
                ip link set eth0 address 02:99:00:00:00:{number:02x}
                ip addr add {self.address(number)}/24 dev eth0
                ip link set eth0 up
                ip route add default via {self.place.gateway}
            """,
        )

    def plugged(self) -> int:
        """The highest number of a host that has a network namespace here; 0 for none."""
        names = [path.name for path in Path("/run/netns").glob(f"{self.place.prefix}h*")]
        return max((int(name.removeprefix(f"{self.place.prefix}h")) for name in names), default=0)

    def forget_host_state(self, number: int) -> None:
        """What a power cut does to a host's network: all its own interfaces and rules are gone."""
        name = self.netns(number)
        links = in_netns(name, ["ip", "-o", "link"], check=False)
        for link in re.findall(r"^\d+: ([^:@]+)", links, re.MULTILINE):
            if link not in ("lo", "eth0"):
                in_netns(name, ["ip", "link", "del", link], check=False)
        in_netns(name, ["nft", "flush", "ruleset"], check=False)

    def down(self, numbers: Iterable[int]) -> None:
        """Take the switch and the network namespaces away."""
        for number in numbers:
            self._stop_delay(number)
            run(["ip", "netns", "del", self.netns(number)], check=False)
        run(["ip", "link", "del", self._cable], check=False)
        run(["ip", "netns", "del", self.place.switch], check=False)

    def set_port(self, number: int, up: bool) -> None:
        in_netns(self.place.switch, ["ip", "link", "set", f"p{number}", "up" if up else "down"])

    def partition(self, side: Iterable[int], other: Iterable[int]) -> None:
        """Let no frame pass between the two sides, either way; partitions add up until `unpartition`."""
        others = list(other)
        for a in side:
            for b in others:
                for source, target in ((a, b), (b, a)):
                    self._nft(f"add rule bridge lab partition iifname p{source} oifname p{target} drop")

    def block_udp(self, port: int, side: int, other: int) -> None:
        """Let no datagram to this port pass between two hosts, either way, until `unpartition`."""
        for source, target in ((side, other), (other, side)):
            self._nft(f"add rule bridge lab partition iifname p{source} oifname p{target} udp dport {port} drop")

    def unpartition(self) -> None:
        self._nft("flush chain bridge lab partition")

    def loss(self, number: int, percent: float) -> None:
        """Drop this share of the frames from and to the host at random; 0 ends it."""
        rules = in_netns(self.place.switch, ["nft", "-a", "list", "chain", "bridge", "lab", "loss"])
        for handle in re.findall(rf'"p{number}".*handle (\d+)', rules):
            self._nft(f"delete rule bridge lab loss handle {handle}")
        if percent > 0:
            dropped = round(percent * _LOSS_STEPS / 100)
            chance = f"numgen random mod {_LOSS_STEPS} < {dropped}" if percent < 100 else ""
            for side in ("iifname", "oifname"):
                self._nft(f"add rule bridge lab loss {side} p{number} {chance} drop")

    def delay(self, number: int, delay_ms: float, jitter_ms: float = 0, loss_percent: float = 0) -> None:
        """Hold each packet that arrives at the host back; 0 ends it. Needs gcc and libnetfilter-queue-dev."""
        self._stop_delay(number)
        if not (delay_ms or jitter_ms or loss_percent):
            return
        program = self._delay_program()
        argv = [str(program), _QUEUE, str(delay_ms), str(jitter_ms), str(loss_percent)]
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.netns(number)}", *argv],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        with process.stdout as answer:
            ready = answer.readline()
        self._delays[number] = process
        if ready != b"ready\n":
            self._stop_delay(number)
            raise LabError(f"delayq did not start on host {number}")
        self._delay_file(number).write_text(str(process.pid))
        in_netns(self.netns(number), _delay_rule("-I"))

    def rate(self, number: int, mbit: float) -> None:
        """Let the host send at most this much a second; 0 ends it."""
        name = self.netns(number)
        in_netns(name, ["tc", "qdisc", "del", "dev", "eth0", "root"], check=False)
        if mbit:
            shape = f"tbf rate {mbit}mbit burst 64kb latency 50ms".split()
            in_netns(name, ["tc", "qdisc", "add", "dev", "eth0", "root", *shape])

    def _nft(self, rule: str) -> None:
        in_netns(self.place.switch, ["nft", "-f", "-"], given=rule + "\n")

    def _delay_file(self, number: int) -> Path:
        return self.place.root / f"h{number}" / "delayq.pid"

    def _delay_program(self) -> Path:
        program = self.place.root / "delayq"
        if not program.exists():
            run(["gcc", "-O2", "-o", program, _HERE / "delayq.c", "-lnetfilter_queue"])
        return program

    def _stop_delay(self, number: int) -> None:
        pid_file = self._delay_file(number)
        if pid_file.exists():
            in_netns(self.netns(number), _delay_rule("-D"), check=False)
            pid = int(pid_file.read_text())
            if process_name(pid) == "delayq":
                send_signal(pid, signal.SIGTERM)
            pid_file.unlink()
        process = self._delays.pop(number, None)
        if process is not None:
            with suppress(ProcessLookupError):
                process.terminate()
            process.wait()


def _delay_rule(action: str) -> list[str]:
    rule = f"PREROUTING -i eth0 -j NFQUEUE --queue-num {_QUEUE} --queue-bypass"
    return ["iptables", "-t", "mangle", action, *rule.split()]
