"""The driver over a kernel and an engine made of dictionaries, under virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import trio
from msgspec.structs import replace

from consensus import commands as c
from consensus.model.network import Capability, Encryption, Network, OverlayMode, OverlayStatus
from runtime.engine.docker_networks import NetworkSpec, NetworkState
from runtime.engine.errors import EngineError, EngineUnavailable
from runtime.network.overlay.attachment import Attachment
from runtime.network.overlay.changes import AddWireguard, AnyChange
from runtime.network.overlay.driver import Overlay
from runtime.network.overlay.engine_rules import LOST
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import Found, Link, Route
from runtime.network.overlay.plan import BRIDGE, NETWORK, VXLAN, WIREGUARD, OverlayPlan
from runtime.network.overlay.prober import Prober
from runtime.network.overlay.rule_memory import Known
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts
from tests.runtime.network.overlay.test_engine_rules import DOCKER_20
from tests.runtime.network.overlay.test_firewall import FakeTables
from tests.runtime.network.overlay.test_links import OWN_KEY, FakeKernel

_RULES = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"
_OWN = {"hivemind.node": "n1"}


class Machine:
    """Kernel and engine of one machine: the engine's networks have bridges in the kernel. `broken`: what it lacks."""

    host = "unix:///run/docker.sock"

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.tables = FakeTables(_RULES)
        self.tables6 = FakeTables(_RULES)
        self.found: dict[str, NetworkState] = {}
        self.adopted: list[int] = []
        self.can_encrypt = False
        self.has_ipv6 = False
        self.broken: OverlayError | EngineError | None = None
        self.has_iptables = True
        self.strict = False
        self._tell: Callable[[], None] = lambda: None

    def news(self) -> None:
        self._tell()

    # -- the kernel

    async def capabilities(self) -> tuple[Capability, ...]:
        await trio.lowlevel.checkpoint()
        return (Capability("wireguard", self.can_encrypt, "a fake"), Capability("ipv6", self.has_ipv6, "turned off"))

    async def look(self) -> Found:
        await trio.lowlevel.checkpoint()
        return self.kernel.look()

    async def change(self, changes: Sequence[AnyChange]) -> None:
        await trio.lowlevel.checkpoint()
        if isinstance(self.broken, OverlayError):
            raise self.broken
        for each in changes:
            if isinstance(each, AddWireguard) and not self.can_encrypt:
                raise OverlayError("missing: WireGuard")
            self.kernel.make([each])
        self._tell()

    async def adopt_ports(self, pids: Iterable[int]) -> int:
        await trio.lowlevel.checkpoint()
        self.adopted += pids
        return len(self.adopted)

    async def forward_packets(self, *, ipv6: bool = False) -> None:
        await trio.lowlevel.checkpoint()

    async def is_strict(self, link: str) -> bool:
        await trio.lowlevel.checkpoint()
        assert link in self.kernel.links
        return self.strict

    async def saved_rules(self, *, ipv6: bool = False) -> str:
        await trio.lowlevel.checkpoint()
        if not self.has_iptables:
            raise OverlayError("cannot run iptables-save")
        return (self.tables6 if ipv6 else self.tables).saved

    async def restore_rules(self, text: str, *, ipv6: bool = False) -> None:
        await trio.lowlevel.checkpoint()
        (self.tables6 if ipv6 else self.tables).restore(text)

    async def follow(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        await trio.sleep_forever()

    # -- the engine

    async def find(self, name: str) -> NetworkState | None:
        await trio.lowlevel.checkpoint()
        if isinstance(self.broken, EngineError):
            raise self.broken
        return self.found.get(name)

    async def create(self, spec: NetworkSpec) -> None:
        await trio.lowlevel.checkpoint()
        assert spec.name not in self.found
        self.found[spec.name] = NetworkState(spec, ())
        pairs = ((spec.subnet, spec.gateway), (spec.subnet6, spec.gateway6))
        self.kernel.links[spec.bridge] = Link(
            name=spec.bridge,
            mtu=1500,
            up=True,
            mac="02:42:00:00:00:01",
            addresses=frozenset(f"{address}/{subnet.partition('/')[2]}" for subnet, address in pairs if subnet),
        )

    async def remove(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        state = self.found.pop(name)
        assert not state.containers
        self.kernel.links.pop(state.spec.bridge, None)

    async def pid(self, engine_id: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return int(engine_id)


class FakeNames:
    def resolvers(self, plan: OverlayPlan) -> tuple[str, ...]:
        return (plan.gateway,)

    def problems(self) -> Sequence[str]:
        return ()


def founded(encryption: Encryption = Encryption.OFF) -> Feed:
    feed = Feed()
    feed.accepted(c.FoundCluster(replace(CLUSTER, network=Network(encryption=encryption)), ADMIN))
    for number in (1, 2):
        key = OWN_KEY if number == 1 else f"key{number}"
        feed.accepted(c.AddNode(f"n{number}", replace(facts(number), overlay=OverlayMode.VXLAN, overlay_key=key)))
    return feed


class Memory:
    """Kept as long as the test keeps it."""

    def __init__(self) -> None:
        self.kept: Known = {}

    async def load(self) -> Known:
        await trio.lowlevel.checkpoint()
        return self.kept

    async def save(self, known: Known) -> None:
        await trio.lowlevel.checkpoint()
        self.kept = known


@asynccontextmanager
async def running(
    feed: Feed, machine: Machine, memory: Memory | None = None, *, prober: Prober | None = None
) -> AsyncIterator[Overlay]:
    overlay = Overlay(
        node_id="n1",
        machine=feed.machine,
        networks=machine,  # type: ignore[arg-type]
        kernel=machine,
        labels=_OWN,
        names=FakeNames(),
        reach=prober or Prober(lambda node_id: True),
        rule_memory=memory or Memory(),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(overlay.run)
        yield overlay
        nursery.cancel_scope.cancel()


async def status(overlay: Overlay) -> tuple[OverlayStatus, str]:
    await trio.sleep(20)
    assert overlay.report is not None
    return overlay.report.status, overlay.report.reason


_CONNECTED = (OverlayStatus.CONNECTED, "")


async def test_it_connects_follows_the_cluster_and_puts_back_what_is_taken(autojump_clock: trio.abc.Clock) -> None:
    feed, machine = founded(), Machine()
    async with running(feed, machine) as overlay:
        assert await overlay.attach() == Attachment(NETWORK, ("10.244.0.1",))
        assert await status(overlay) == _CONNECTED
        assert machine.found[NETWORK].spec.subnet == "10.244.0.0/24"
        assert machine.tables.saved.count("HIVEMIND-OVERLAY") > 4
        feed.accepted(c.AddNode("n3", replace(facts(3), overlay=OverlayMode.VXLAN)))
        await trio.sleep(1)
        subnets = {"10.244.1.0/24", "10.244.2.0/24"}
        assert {route.subnet for route in machine.kernel.routes if route.link == VXLAN} == subnets

        whole = machine.kernel.look()
        machine.found[NETWORK] = NetworkState(machine.found[NETWORK].spec, ("41", "42"))
        machine.kernel.delete(VXLAN)
        machine.kernel.delete(BRIDGE)
        machine.tables = FakeTables(_RULES)
        machine.news()
        await trio.sleep(1)
        assert machine.kernel.look() == whole
        assert machine.adopted == [41, 42]
        assert "HIVEMIND-OVERLAY" in machine.tables.saved


async def test_a_near_node_that_answers_is_sent_to_without_the_tunnel(autojump_clock: trio.abc.Clock) -> None:
    feed, machine = founded(), Machine()
    direct = Route("10.244.1.0/24", "10.0.0.3", "eth0", False)
    prober = Prober(lambda node_id: True)
    machine.strict = True
    async with running(feed, machine, prober=prober) as overlay:
        assert await status(overlay) == _CONNECTED
        assert not overlay.near
        assert {route.link for route in machine.kernel.routes} == {VXLAN}
        machine.strict = False
        overlay.look_again()
        await trio.sleep(1)
        assert [peer.node_id for peer in overlay.near] == ["n2"]
        assert direct not in machine.kernel.routes
        prober.adopt(["n2"])
        overlay.look_again()
        await trio.sleep(1)
        assert direct in machine.kernel.routes
        assert "-i eth0 -o hivemind0 -j ACCEPT" in machine.tables.saved
    # The next daemon goes on where this one was.
    async with running(feed, machine) as overlay:
        assert await status(overlay) == _CONNECTED
        assert direct in machine.kernel.routes
        feed.accepted(c.SetSetting("overlay.direct", False))
        await trio.sleep(1)
        assert not overlay.near
        assert {route.link for route in machine.kernel.routes} == {VXLAN}


async def test_a_machine_without_iptables_has_all_the_rest(autojump_clock: trio.abc.Clock) -> None:
    machine = Machine()
    machine.has_iptables = False
    async with running(founded(), machine) as overlay:
        assert await status(overlay) == (OverlayStatus.DEGRADED, "cannot run iptables-save")
        assert await overlay.attach() is not None
        assert VXLAN in machine.kernel.links
        machine.has_iptables = True
        assert await status(overlay) == _CONNECTED


async def test_the_engines_own_rules_come_back(autojump_clock: trio.abc.Clock) -> None:
    machine = Machine()
    machine.tables = FakeTables(DOCKER_20)
    async with running(founded(), machine) as overlay:
        assert await status(overlay) == _CONNECTED
        machine.tables = FakeTables("")
        machine.news()
        await trio.sleep(1)
        assert overlay.report is not None
        assert (overlay.report.status, overlay.report.reason) == (OverlayStatus.DEGRADED, LOST)
        assert "HIVEMIND-OVERLAY" in machine.tables.saved, "ours do not wait"
        assert await status(overlay) == _CONNECTED
        assert "-A DOCKER-USER -j HIVEMIND-OVERLAY" in machine.tables.saved
        assert "--dport 8080 -j DNAT" in machine.tables.saved


async def test_the_engines_own_rules_come_back_that_went_while_no_daemon_ran(autojump_clock: trio.abc.Clock) -> None:
    feed, machine, memory = founded(), Machine(), Memory()
    machine.tables = FakeTables(DOCKER_20)
    async with running(feed, machine, memory) as overlay:
        assert await status(overlay) == _CONNECTED
    machine.tables = FakeTables("")
    async with running(feed, machine, memory) as overlay:
        await trio.sleep(1)
        assert overlay.report is not None
        assert overlay.report.reason == LOST
        assert await status(overlay) == _CONNECTED
        assert "--dport 8080 -j DNAT" in machine.tables.saved
    # A later look has seen them again: they are still what is missed next time.
    machine.tables = FakeTables("")
    async with running(feed, machine, memory) as overlay:
        assert await status(overlay) == _CONNECTED
        assert "--dport 8080 -j DNAT" in machine.tables.saved


async def test_what_is_missing_is_the_reason_and_tried_again(autojump_clock: trio.abc.Clock) -> None:
    machine = Machine()
    machine.broken = OverlayError("cannot AddVxlan: Operation not supported")
    async with running(founded(), machine) as overlay:
        assert await status(overlay) == (OverlayStatus.DEGRADED, "cannot AddVxlan: Operation not supported")
        assert await overlay.attach() is not None, "containers of this node still reach each other"
        machine.broken = EngineUnavailable("the engine is stopping")
        assert await status(overlay) == (OverlayStatus.DEGRADED, "the engine is stopping")
        machine.broken = None
        assert await status(overlay) == _CONNECTED


async def test_it_encrypts_or_says_why_not_and_is_never_silently_open(autojump_clock: trio.abc.Clock) -> None:
    feed, machine = founded(Encryption.WIREGUARD), Machine()
    async with running(feed, machine) as overlay:
        assert await status(overlay) == (OverlayStatus.DEGRADED, "missing: WireGuard")
        assert {route.link for route in machine.kernel.routes} == {""}
        assert "HIVEMIND-OVERLAY" in machine.tables.saved, "its containers reach the world"
        machine.can_encrypt = True
        assert await status(overlay) == _CONNECTED
        assert overlay.report is not None
        assert overlay.report.capability("wireguard") == Capability("wireguard", True, "a fake")
        assert {route.link for route in machine.kernel.routes} == {"", WIREGUARD}


async def test_containers_keep_their_network_when_packets_become_shorter(autojump_clock: trio.abc.Clock) -> None:
    feed, machine = founded(), Machine()
    machine.can_encrypt = True
    async with running(feed, machine) as overlay:
        assert await status(overlay) == _CONNECTED
        machine.found[NETWORK] = NetworkState(machine.found[NETWORK].spec, ("41",))
        feed.accepted(c.EncryptOverlay(Encryption.OFF))
        node = feed.state.nodes["n1"]
        for name in ("n1", "n2"):
            feed.accepted(c.ReportOverlay(name, node.boot_id, overlay.report))
        feed.accepted(c.EncryptOverlay(Encryption.WIREGUARD))
        assert await status(overlay) == _CONNECTED
        assert machine.found[NETWORK].spec.mtu == 1450
        assert machine.kernel.links[BRIDGE].mtu == 1440


async def test_a_range_of_ipv6_gives_containers_a_second_address(autojump_clock: trio.abc.Clock) -> None:
    feed, machine = founded(), Machine()
    async with running(feed, machine) as overlay:
        assert await status(overlay) == _CONNECTED
        feed.accepted(c.ExtendOverlay("fd12:3456:789a::/48", ipv6=True))
        assert await status(overlay) == (OverlayStatus.DEGRADED, "its containers have no IPv6: turned off")
        assert not machine.found[NETWORK].spec.subnet6
        machine.has_ipv6 = True
        old = machine.found[NETWORK]
        machine.found[NETWORK] = NetworkState(old.spec, ("41",))
        told, reason = await status(overlay)
        assert (told, "until those made without it are gone" in reason) == (OverlayStatus.DEGRADED, True)
        machine.found[NETWORK] = old
        assert await status(overlay) == _CONNECTED
        assert machine.found[NETWORK].spec.gateway6 == "fd12:3456:789a::1"
        assert {"10.244.0.1/24", "fd12:3456:789a::1/64"} == machine.kernel.links[BRIDGE].addresses
        assert Route("fd12:3456:789a:1::/64", "fe80::af4:100", VXLAN, False) in machine.kernel.routes
        assert "-s fd12:3456:789a::/48" in machine.tables6.saved
        await overlay.remove()
        assert machine.tables6.saved == _RULES


async def test_somebody_elses_network_is_taken_over_only_when_nobody_uses_it(autojump_clock: trio.abc.Clock) -> None:
    machine = Machine()
    spec = NetworkSpec(name=NETWORK, bridge="br-x", subnet="10.9.0.0/24", gateway="10.9.0.1", mtu=0, labels={})
    machine.found[NETWORK] = NetworkState(spec, ("7",))
    async with running(founded(), machine) as overlay:
        told, reason = await status(overlay)
        assert (told, "of somebody else, with containers on it" in reason) == (OverlayStatus.DEGRADED, True)
        assert await overlay.attach() is None
        machine.found[NETWORK] = NetworkState(spec, ())
        assert await status(overlay) == _CONNECTED
        assert machine.found[NETWORK].spec.labels == _OWN


async def test_a_node_without_a_subnet_says_so(autojump_clock: trio.abc.Clock) -> None:
    feed = Feed()
    tiny = replace(CLUSTER, network=replace(CLUSTER.network, ranges=("10.244.0.0/24",)))
    feed.accepted(c.FoundCluster(tiny, ADMIN), c.AddNode("n0", replace(facts(9), overlay=OverlayMode.VXLAN)))
    feed.accepted(c.AddNode("n1", replace(facts(1), overlay=OverlayMode.VXLAN)))
    async with running(feed, Machine()) as overlay:
        told, reason = await status(overlay)
        assert (told, "ranges are exhausted" in reason) == (OverlayStatus.DEGRADED, True)
        assert await overlay.attach() is None
        feed.accepted(c.ExtendOverlay("10.246.0.0/16"))
        assert await status(overlay) == _CONNECTED


async def test_all_of_it_is_removed(autojump_clock: trio.abc.Clock) -> None:
    machine = Machine()
    before = machine.kernel.look()
    async with running(founded(), machine) as overlay:
        await status(overlay)
        await overlay.remove()
        assert machine.kernel.look() == before
        assert machine.tables.saved == _RULES
        assert not machine.found
