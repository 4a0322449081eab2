"""The overlay's plan and the changes that lead to it, against a kernel made of dictionaries."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import assert_never

import pytest
from msgspec.structs import replace

from consensus import commands as c
from consensus.model.network import Encryption, Network, OverlayMode
from runtime.network.overlay import changes, links
from runtime.network.overlay.changes import AnyChange
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import Found, Link, Route, VxlanFacts, WireguardFacts, WireguardPeer
from runtime.network.overlay.plan import BRIDGE, VXLAN, WIREGUARD, OverlayPlan, mac_of, overlay_mtu, plan
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts

OWN_KEY = "own key"
_ETH0 = Link(name="eth0", mtu=1500, up=True, mac="02:00:00:00:00:01", addresses=frozenset({"10.0.0.2/24"}))


class FakeKernel:
    """Does to dictionaries what the kernel does to itself."""

    def __init__(self) -> None:
        self.links = {"lo": Link(name="lo", mtu=65536, up=True, addresses=frozenset({"127.0.0.1/8"})), "eth0": _ETH0}
        self.routes: set[Route] = set()
        self.neighbours: dict[str, str] = {}
        self.forwarding: dict[str, str] = {}
        self.wireguard: WireguardFacts | None = None

    def look(self) -> Found:
        return Found(
            links=dict(self.links),
            routes=frozenset(self.routes),
            neighbours=frozenset(self.neighbours.items()),
            forwarding=frozenset(self.forwarding.items()),
            wireguard=self.wireguard,
        )

    def delete(self, name: str) -> None:
        del self.links[name]
        self.routes = {route for route in self.routes if route.link != name}
        if name == VXLAN:
            self.neighbours, self.forwarding = {}, {}
        if name == WIREGUARD:
            self.wireguard = None

    def make(self, due: Iterable[AnyChange]) -> None:
        for change in due:
            self._make(change)

    def _make(self, change: AnyChange) -> None:
        match change:
            case changes.AddBridge(name, mtu, mac):
                assert name not in self.links
                self.links[name] = Link(name=name, mtu=mtu, up=False, mac=mac)
            case changes.AddVxlan(name, mtu, mac, vni, port, local, underlay):
                assert name not in self.links
                vxlan = VxlanFacts(vni, port, local, underlay, False)
                self.links[name] = Link(name=name, mtu=mtu, up=False, mac=mac, vxlan=vxlan)
            case changes.AddWireguard(name):
                assert name not in self.links
                self.links[name] = Link(name=name, mtu=1420, up=False)
                self.wireguard = WireguardFacts("", 0, frozenset())
            case changes.ConfigureWireguard(_, port, peers):
                self.wireguard = WireguardFacts(OWN_KEY, port, frozenset(peers))
            case changes.DeleteLink(name):
                self.delete(name)
            case changes.SetLink(name, mtu):
                self.links[name] = replace(self.links[name], mtu=mtu, up=True)
            case changes.SetMac(name, mac):
                self.links[name] = replace(self.links[name], mac=mac)
            case changes.AddAddress(name, address):
                link = self.links[name]
                self.links[name] = replace(link, addresses=link.addresses | {address})
            case changes.AddRoute(route):
                assert not route.link or self.links[route.link].up
                self.routes = {each for each in self.routes if each.key != route.key} | {route}
            case changes.DeleteRoute(route):
                self.routes.remove(route)
            case changes.SetNeighbour(_, address, mac):
                self.neighbours[address] = mac
            case changes.DeleteNeighbour(_, address):
                del self.neighbours[address]
            case changes.AddForwarding(_, mac, address):
                self.forwarding[mac] = address
            case changes.DeleteForwarding(_, mac, address):
                assert self.forwarding.pop(mac) == address
            case _:
                assert_never(change)


def settle(kernel: FakeKernel, wanted: OverlayPlan) -> None:
    for _ in range(4):
        due = links.changes(wanted, kernel.look())
        if not due:
            return
        kernel.make(due)
    raise AssertionError(f"not settled: {due}")


def plan_of(nodes: int, mode: OverlayMode = OverlayMode.VXLAN, encryption: Encryption = Encryption.OFF) -> OverlayPlan:
    """Through the tunnel only."""
    feed = Feed()
    feed.accepted(c.FoundCluster(replace(CLUSTER, network=Network(encryption=encryption)), ADMIN))
    for number in range(1, nodes + 1):
        key = OWN_KEY if number == 1 else f"key{number}"
        feed.accepted(c.AddNode(f"n{number}", replace(facts(number), overlay=mode, overlay_key=key)))
    wanted = plan(feed.state, "n1")
    assert wanted is not None
    return replace(wanted, direct=None)


def test_a_bare_machine_becomes_what_is_planned() -> None:
    kernel, wanted = FakeKernel(), plan_of(3)
    settle(kernel, wanted)
    bridge, vxlan = kernel.links[BRIDGE], kernel.links[VXLAN]
    assert (bridge.addresses, bridge.up, bridge.mtu) == ({"10.244.0.1/24"}, True, 1450)
    assert (vxlan.addresses, vxlan.up, vxlan.mtu) == ({"10.244.0.0/32"}, True, 1450)
    assert (bridge.mac, vxlan.mac) == ("0e:48:0a:f4:00:01", "0e:48:0a:f4:00:00")
    assert kernel.routes == {
        Route("10.244.1.0/24", "10.244.1.0", VXLAN, True),
        Route("10.244.2.0/24", "10.244.2.0", VXLAN, True),
    }
    assert kernel.neighbours == {"10.244.1.0": mac_of("10.244.1.0"), "10.244.2.0": mac_of("10.244.2.0")}
    assert kernel.forwarding == {mac_of("10.244.1.0"): "10.0.0.3", mac_of("10.244.2.0"): "10.0.0.4"}
    kernel.make(links.removal(kernel.look()))
    assert not kernel.routes
    assert VXLAN not in kernel.links


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_taken_away_is_put_back(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    mode, encryption = rng.choice([OverlayMode.VXLAN, OverlayMode.HOST_GW]), rng.choice(list(Encryption))
    kernel, wanted = FakeKernel(), plan_of(4, mode, encryption)
    if wanted.tunnel == VXLAN and rng.random() < 0.5:
        wanted = replace(wanted, direct=frozenset(peer.node_id for peer in wanted.peers[:2]))
    settle(kernel, wanted)
    whole = kernel.look()
    for _ in range(rng.randint(1, 5)):
        _damage(kernel, rng)
    settle(kernel, wanted)
    assert kernel.look() == whole


def _damage(kernel: FakeKernel, rng: random.Random) -> None:
    own = sorted(name for name in kernel.links if name.startswith("hivemind"))
    match rng.randrange(7):
        case 0 if own:
            kernel.delete(rng.choice(own))
        case 1 if own:
            name = rng.choice(own)
            kernel.links[name] = replace(kernel.links[name], up=False)
            kernel.routes = {route for route in kernel.routes if route.link != name}
        case 2 if kernel.routes:
            kernel.routes.remove(rng.choice(sorted(kernel.routes)))
        case 3:
            kernel.neighbours.pop("10.244.1.0", None)
            kernel.forwarding.clear()
        case 4 if set(own) - {WIREGUARD}:
            name = next(name for name in own if name != WIREGUARD)
            kernel.links[name] = replace(kernel.links[name], mac="02:02:02:02:02:02")
        case 5 if own:
            name = rng.choice(own)
            kernel.links[name] = replace(kernel.links[name], mtu=900, addresses=frozenset())
        case 6 if kernel.wireguard is not None:
            kernel.wireguard = rng.choice([replace(kernel.wireguard, port=1), replace(kernel.wireguard, public_key="")])
        case _:
            kernel.routes.add(Route("10.244.99.0/24", "10.0.0.99", "eth0", False))


def test_nodes_come_go_and_move() -> None:
    kernel, wanted = FakeKernel(), plan_of(3)
    settle(kernel, wanted)
    first, second = wanted.peers
    moved = replace(wanted, peers=(replace(first, address="10.0.0.77"),))
    settle(kernel, moved)
    assert kernel.forwarding == {first.mac: "10.0.0.77"}
    assert {route.subnet for route in kernel.routes} == {first.subnet}
    settle(kernel, replace(wanted, mode=OverlayMode.HOST_GW))
    assert VXLAN not in kernel.links
    assert kernel.routes == {
        Route(first.subnet, first.address, "eth0", False),
        Route(second.subnet, second.address, "eth0", False),
    }


def test_who_is_near_is_asked_directly_and_who_answered_is_sent_to_directly() -> None:
    kernel, wanted = FakeKernel(), plan_of(5)
    near, silent, beyond, named = wanted.peers
    beyond, named = replace(beyond, address="192.168.7.7"), replace(named, address="node-5.example")
    wanted = replace(wanted, peers=(near, silent, beyond, named), direct=frozenset())
    settle(kernel, wanted)
    asked = {Route(f"{peer.tunnel_end}/32", peer.address, "eth0", False) for peer in (near, silent)}
    tunnelled = {Route(peer.subnet, peer.tunnel_end, VXLAN, True) for peer in wanted.peers}
    assert kernel.routes == asked | tunnelled
    assert links.directly(wanted, kernel.look()) == frozenset()
    wanted = replace(wanted, direct=frozenset({near.node_id, beyond.node_id}))
    settle(kernel, wanted)
    shortcut = Route(near.subnet, near.address, "eth0", False)
    assert kernel.routes == {route for route in asked | tunnelled if route.subnet != near.subnet} | {shortcut}
    assert links.directly(wanted, kernel.look()) == {near.node_id}
    kernel.delete(VXLAN)
    assert shortcut in kernel.routes
    settle(kernel, replace(wanted, direct=None))
    assert kernel.routes == tunnelled


def test_direct_routes_do_not_pass_a_router() -> None:
    kernel, wanted = FakeKernel(), plan_of(2, OverlayMode.HOST_GW)
    wanted = replace(wanted, peers=(replace(wanted.peers[0], address="192.168.7.7"),))
    settle(kernel, wanted)
    assert not kernel.routes
    assert links.far(wanted, kernel.look()) == wanted.peers


def test_an_address_that_no_interface_has_is_an_error() -> None:
    kernel, wanted = FakeKernel(), replace(plan_of(2), address="10.9.9.9")
    with pytest.raises(OverlayError, match=r"advertised address 10\.9\.9\.9"):
        links.changes(wanted, kernel.look())


def test_nodes_with_another_mode_are_named() -> None:
    feed = Feed()
    feed.accepted(
        c.AddNode("n1", replace(facts(1), overlay=OverlayMode.VXLAN)),
        c.AddNode("n2", replace(facts(2), overlay=OverlayMode.HOST_GW)),
        c.AddNode("n3", facts(3)),
    )
    wanted = plan(feed.state, "n1")
    assert wanted is not None
    assert (wanted.peers, wanted.misfits) == ((), ("n2 uses host-gw, this node vxlan",))
    assert plan(feed.state, "n3") is None
    assert plan(feed.state, "n9") is None


def test_mtu_leaves_room_for_the_outer_headers() -> None:
    """RFC 7348 §5: outer Ethernet aside, IP 20 or 40, UDP 8, VXLAN 8, inner Ethernet 14."""
    assert overlay_mtu(VXLAN, "10.0.0.1", 1500) == 1450
    assert overlay_mtu(VXLAN, "fd00::1", 1500) == 1430
    assert overlay_mtu(VXLAN, "10.0.0.1", 9000) == 8950
    assert overlay_mtu(None, "10.0.0.1", 1500) == 1500
    assert overlay_mtu(WIREGUARD, "10.0.0.1", 1500) == 1440
    assert overlay_mtu(WIREGUARD, "fd00::1", 1500) == 1420


_SEALED = {"encryption": Encryption.WIREGUARD}
_NOWHERE = Route("10.244.0.0/16", "", "", False)


@pytest.mark.parametrize("mode", [OverlayMode.VXLAN, OverlayMode.HOST_GW])
def test_an_encrypted_overlay_has_one_tunnel_and_no_other_way(mode: OverlayMode) -> None:
    kernel, plain = FakeKernel(), plan_of(3, mode)
    settle(kernel, plain)
    wanted = replace(plain, **_SEALED)
    settle(kernel, wanted)
    assert VXLAN not in kernel.links
    tunnel = kernel.links[WIREGUARD]
    assert (tunnel.addresses, tunnel.up, tunnel.mtu) == ({"10.244.0.0/32"}, True, 1440)
    assert kernel.routes == {
        Route("10.244.1.0/24", "", WIREGUARD, False),
        Route("10.244.2.0/24", "", WIREGUARD, False),
        _NOWHERE,
    }
    peers = {
        WireguardPeer("key2", "10.0.0.3:51842", ("10.244.1.0/24",)),
        WireguardPeer("key3", "10.0.0.4:51842", ("10.244.2.0/24",)),
    }
    assert kernel.wireguard == WireguardFacts(OWN_KEY, 51842, frozenset(peers))
    settle(kernel, plain)
    assert WIREGUARD not in kernel.links
    assert _NOWHERE not in kernel.routes


def test_where_the_tunnel_cannot_be_made_nothing_is_left_that_leaks() -> None:
    """Making it is the last of all changes: those before it are done when it fails."""
    kernel, plain = FakeKernel(), plan_of(2)
    settle(kernel, plain)
    due = links.changes(replace(plain, **_SEALED), kernel.look())
    assert due[-1] == changes.AddWireguard(WIREGUARD)
    kernel.make(due[:-1])
    assert kernel.routes == {_NOWHERE}
    assert VXLAN not in kernel.links


def test_a_node_without_a_key_is_sent_nothing() -> None:
    feed = Feed()
    feed.accepted(c.FoundCluster(replace(CLUSTER, network=Network(encryption=Encryption.WIREGUARD)), ADMIN))
    feed.accepted(c.AddNode("n1", replace(facts(1), overlay=OverlayMode.VXLAN, overlay_key=OWN_KEY)))
    feed.accepted(c.AddNode("n2", replace(facts(2), overlay=OverlayMode.HOST_GW, overlay_key="key2")))
    feed.accepted(c.AddNode("n3", replace(facts(3), overlay=OverlayMode.VXLAN)))
    wanted = plan(feed.state, "n1")
    assert wanted is not None
    assert [peer.node_id for peer in wanted.peers] == ["n2"]
    assert wanted.misfits == ("n3 has no key: nothing is sent to it unencrypted",)
