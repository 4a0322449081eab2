"""From a State to the kernel's rules: what the kernel is given, what it is not, and how little a change costs."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import commands as c
from consensus.model.service import GivenEndpoint, ServicePort
from runtime.network.nft import encoding, netlink
from runtime.network.nft.balance import ADDRESSES, PORTS, Here, is_kernels, turns
from runtime.network.nft.compiler import Compiler
from runtime.network.nft.errors import NftError
from runtime.network.nft.ruleset import TABLE, Command, Ruleset, changes, put_table
from runtime.network.routes import Backend, Policy, PublishedPort, Route, ServiceAddress
from tests.runtime.network.nft.overlay_state import overlay_cluster, policy, second_addresses, serve
from tests.support.waiting import wait_until

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET"""
HERE = Here(node_id="n1", subnet="10.244.0.0/24", gateway="10.244.0.1", ranges=("10.244.0.0/16",), nodes=frozenset())


def route(weights: tuple[int, ...], **how: object) -> Route:
    backends = tuple(Backend(f"t{i}", f"n{i + 1}", 80, f"10.244.{i}.2", 80) for i in range(len(weights)))
    return Route("s", Policy(**how), backends, weights)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(any))
@settings(deadline=None)
def test_a_round_has_each_endpoint_as_often_as_its_weight_says(weights: list[int]) -> None:
    found = Counter(backend.task_id for backend in turns(route(tuple(weights)), HERE))
    total = sum(weights)
    for i, weight in enumerate(weights):
        share = found.get(f"t{i}", 0) / sum(found.values())
        assert abs(share - weight / total) < 0.02


def test_local_endpoints_only_where_there_are_some_and_they_are_preferred() -> None:
    assert {b.node_id for b in turns(route((1, 1), prefer_local=True), HERE)} == {"n1"}
    assert {b.node_id for b in turns(route((0, 1), prefer_local=True), HERE)} == {"n2"}


def test_the_kernel_is_not_given_what_it_cannot_do() -> None:
    assert is_kernels(route((1,), strategy="ip-hash"), HERE)
    assert not is_kernels(route((1,), strategy="least-connections"), HERE)
    assert not is_kernels(route((1,), proxy_protocol=True), HERE)
    assert not is_kernels(route((1,), sticky_s=5.0), HERE)
    given_by_hand = Backend("192.0.2.1:80", "", 80, "192.0.2.1", 80)
    assert is_kernels(Route("s", Policy(), (given_by_hand,), (1,)), HERE)
    assert not is_kernels(Route("s", Policy(checked=True), (given_by_hand,), (1,)), HERE)
    assert is_kernels(route((1,), checked=True), HERE)
    away = Backend("t", "n1", 80, "172.17.0.2", 80)
    assert not is_kernels(Route("s", Policy(), (away,), (1,)), HERE)


def touched(commands: list[Command]) -> list[str]:
    """What each command is about: `verb kind name`."""
    found = []
    for command in commands:
        ((verb, what),) = command.items()
        ((kind, fields),) = what.items()
        found.append(f"{verb} {kind} {fields.get('chain') or fields.get('name')}")
    return found


def test_without_policies_a_packet_of_a_known_connection_passes_no_rule_of_ours() -> None:
    feed = overlay_cluster()
    serve(feed, "web", {"10.244.0.2": "n1"}, host_port=8080)
    found = Compiler("n1").update(feed.state, {"web"}, {})
    assert found is not None
    # Chains of nat see only the packet that begins a connection (nft(8), "chain types").
    assert {chain.hook.kind for chain in found.chains.values() if chain.hook is not None} == {"nat"}


def test_another_endpoint_changes_one_chain_for_each_front_and_nothing_else() -> None:
    feed = overlay_cluster()
    serve(feed, "web", {"10.244.0.2": "n1", "10.244.1.2": "n2"}, host_port=8080)
    serve(feed, "api", {"10.244.0.3": "n1"})
    compiler = Compiler("n1")
    before = compiler.update(feed.state, set(feed.state.apps), {})
    assert before is not None
    address = feed.state.services["web"].virtual_ip
    chain = f"service_{address.replace('.', '_')}_tcp_80"
    assert before.sets[ADDRESSES].elements[address, "tcp", 80] == chain
    assert before.sets[PORTS].elements == {("tcp", 8080): "published_tcp_8080"}
    feed.accepted(c.RemoveTasks([feed.tasks("web")[1].id]))
    after = compiler.update(feed.state, {"web"}, {})
    assert after is not None
    assert sorted(touched(changes(before, after))) == sorted(
        [f"flush chain {chain}", f"add rule {chain}", "flush chain published_tcp_8080", "add rule published_tcp_8080"]
    )
    assert changes(after, after) == []
    again = Compiler("n1").update(feed.state, set(feed.state.apps), {})
    assert again == after


def test_a_published_port_that_another_program_has_here_stays_its_own() -> None:
    feed = overlay_cluster()
    serve(feed, "web", {"10.244.0.2": "n1"}, host_port=8080)
    compiler, port = Compiler("n1"), PublishedPort(8080, "tcp")
    theirs = compiler.update(feed.state, {"web"}, {}, {port})
    assert theirs is not None
    assert not theirs.sets[PORTS].elements
    assert theirs.sets[ADDRESSES].elements, "the virtual address is nobody else's"
    free = compiler.update(feed.state, set(), {}, set())
    assert free is not None
    assert free.sets[PORTS].elements == {("tcp", 8080): "published_tcp_8080"}
    assert compiler.update(feed.state, set(), {}, {port}) == theirs


def test_a_virtual_address_that_the_kernel_cannot_serve_goes_to_the_proxy_once_it_listens() -> None:
    feed = overlay_cluster()
    serve(feed, "web", {"10.244.0.2": "n1"}, host_port=8080)
    feed.accepted(c.UpdateService(name="web", load_balancing_strategy="least-connections"))
    front = ServiceAddress(feed.state.services["web"].virtual_ip, 80, "tcp")
    compiler = Compiler("n1")
    unserved = compiler.update(feed.state, {"web"}, {})
    assert unserved is not None
    assert not unserved.sets[ADDRESSES].elements
    assert not unserved.sets[PORTS].elements
    served = compiler.update(feed.state, set(), {front: 40000})
    assert served is not None
    (name,) = served.sets[ADDRESSES].elements.values()
    assert {"family": "ip", "addr": "10.244.0.1", "port": 40000} in [
        expression["dnat"] for expression in served.chains[str(name)].rules[0] if "dnat" in expression
    ]


def test_policies_hold_for_both_families() -> None:
    """And a range of one says nothing of the other: it is closed there, not open."""
    feed, compiler = overlay_cluster(), Compiler("n1")
    serve(feed, "web", {"10.244.0.2": "n1"})
    serve(feed, "db", {"10.244.1.3": "n2"})
    compiler.update(feed.state, {"web", "db"}, {})
    assert not compiler.ruleset6.chains
    second_addresses(feed)
    rules = [{"from": [{"ip_block": "10.0.0.0/8"}]}, {"from": [{"selector": {"labels": {"app": "db"}}}]}]
    feed.accepted(c.CreateNetworkPolicy(policy(selector={"labels": {"app": "web"}}, ingress_rules=rules)))
    compiler.update(feed.state, {"web", "db"}, {})
    sets = compiler.ruleset6.sets
    assert set(sets["closed_ingress"].elements) == {"fd12:0:0:0::2"}
    (first,) = (sets[name].elements for name in sets if name.endswith("ingress_0"))
    (second,) = (sets[name].elements for name in sets if name.endswith("ingress_1"))
    assert (set(first), set(second)) == (set(), {"fd12:0:0:1::3/128"})
    assert set(sets["nodes"].elements) == {"fd12::1", "fd12:0:0:1::1"}


def test_without_a_part_in_the_overlay_there_are_no_rules() -> None:
    feed = overlay_cluster()
    assert Compiler("n9").update(feed.state, set(), {}) is None


def _by_nft(commands: list[Command]) -> None:
    done = subprocess.run(
        ["nft", "-j", "-f", "-"], input=json.dumps({"nftables": commands}), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def _straight(commands: list[Command]) -> bool:
    """False: they are left to nft."""
    transaction = encoding.transaction(commands)
    if transaction is None:
        return False
    netlink.change(transaction)
    return True


def _listed() -> list[str]:
    """The words of the kernel's ruleset, sorted: its sets have no order."""
    done = subprocess.run(["nft", "-s", "list", "ruleset"], text=True, capture_output=True, check=True)
    return sorted(done.stdout.replace(",", " ").split())


@pytest.fixture
def own_network() -> Iterator[None]:
    """This thread has a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert libc.unshare(_NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        assert libc.setns(before, _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        os.close(before)


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft")
def test_the_kernel_takes_every_change_and_ends_with_what_a_fresh_table_has(own_network: None) -> None:
    feed, compiler = overlay_cluster(), Compiler("n1")
    web = serve(feed, "web", {"10.244.0.2": "n1", "10.244.1.2": "n2"}, host_port=8080)
    serve(feed, "db", {"10.244.0.3": "n1"}, port=5432)
    second_addresses(feed)
    blocks = [{"ip_block": each} for each in ("10.0.0.0/9", "fd12:0:0:1::/64")]
    rules = [{"ports": [{"port_min": 80, "port_max": 90}, {"protocol": "ICMP"}], "from": blocks}]
    own = [ServicePort(53, host_port=5353, protocol="udp")]
    steps: list[c.AnyCommand] = [
        c.CreateNetworkPolicy(policy(selector={"labels": {"app": "web"}}, ingress_rules=rules, traffic_logging=True)),
        c.UpdateService(name="web", load_balancing_strategy="random"),
        c.UpdateService(name="web", load_balancing_strategy="ip-hash", prefer="local"),
        c.CreateService(name="own", ports=own, endpoints=[GivenEndpoint("192.0.2.1")]),
        c.UpdateNetworkPolicy(
            policy(egress_rules=[{"to": [{"selector": {"labels": {"app": "db"}}}]}], policy_types=["egress"])
        ),
        c.RemoveTasks([web[0]]),
        c.DeleteService("own"),
        c.DeleteNetworkPolicy("p"),
        c.DeleteApp("web"),
    ]
    known: tuple[Ruleset, ...] = ()
    straight = 0
    for step in [None, *steps]:
        if step is not None:
            feed.accepted(step)
        first = compiler.update(feed.state, {"web", "db"}, {})
        assert first is not None
        wanted = (first, compiler.ruleset6)
        for old, new in zip(known or (None, None), wanted, strict=True):
            commands = put_table(new) if old is None else changes(old, new)
            if _straight(commands):
                straight += 1
            else:
                _by_nft(commands)
        known = wanted
        changed = _listed()
        chains = {(each.family.table, name) for each in wanted for name in each.chains}
        assert netlink.chains(TABLE) == chains
        assert set(netlink.counters("ip", TABLE)) == first.counters
        for new in wanted:
            _by_nft(put_table(new))
        assert _listed() == changed, step
    assert straight >= 4, "endpoints and strategies"


_ASK = """
import socket, sys
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as asking:
        asking.settimeout(5)
        try:
            asking.connect((sys.argv[1], 80))
            asking.send(b"?")
            asking.recv(1)
        except OSError as error:
            print(type(error).__name__)
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft")
def test_a_virtual_address_that_nobody_serves_is_refused_here_and_to_those_whose_packets_pass(
    own_network: None,
) -> None:
    feed, compiler = overlay_cluster(), Compiler("n1")
    (task_id,) = serve(feed, "web", {"10.244.0.2": "n1"})
    address = feed.state.services["web"].virtual_ip
    feed.accepted(c.RemoveTasks([task_id]))
    unserved = compiler.update(feed.state, {"web"}, {})
    assert unserved is not None
    _by_nft(put_table(unserved))
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as other:
        inside = ["nsenter", f"--net=/proc/{other.pid}/ns/net"]
        try:
            wait_until(lambda: os.readlink(f"/proc/{other.pid}/ns/net") != os.readlink("/proc/thread-self/ns/net"), 5)
            _ip("link set lo up")
            _ip("link add near type veth peer name far")
            _ip(f"link set far netns {other.pid}")
            for within, link, own in (([], "near", "10.244.0.1"), (inside, "far", "10.244.0.9")):
                _ip(f"address add {own}/24 dev {link}", within)
                _ip(f"link set {link} up", within)
            _ip("route add default via 10.244.0.9")
            _ip("route add default via 10.244.0.1", inside)
            subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
            for within in ([], inside):
                asked = [*within, sys.executable, "-c", _ASK, address]
                told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
                # A datagram's sender is told at once that it may not, if he is here.
                datagrams = "ConnectionRefusedError" if within else "PermissionError"
                assert told == ["ConnectionRefusedError", datagrams], within
        finally:
            other.kill()


def _ip(words: str, within: Sequence[str] = ()) -> None:
    subprocess.run([*within, "ip", *words.split()], check=True)


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft")
def test_a_change_that_the_kernel_refuses_changes_nothing(own_network: None) -> None:
    feed, compiler = overlay_cluster(), Compiler("n1")
    serve(feed, "web", {"10.244.0.2": "n1"})
    first = compiler.update(feed.state, {"web"}, {})
    assert first is not None
    _by_nft(put_table(first))
    before, generation = _listed(), netlink.generation()
    (chain,) = (name for name in first.chains if name.startswith("service_"))
    table = {"family": "ip", "table": TABLE}
    with pytest.raises(NftError, match="No such file or directory"):
        _straight([{"flush": {"chain": {**table, "name": chain}}}, {"flush": {"chain": {**table, "name": "none"}}}])
    assert (_listed(), netlink.generation()) == (before, generation)
    assert _straight([{"flush": {"chain": {**table, "name": chain}}}])
    assert netlink.generation() != generation


def test_what_is_not_known_is_left_to_nft() -> None:
    table = {"family": "ip", "table": TABLE}
    known: Command = {"flush": {"chain": {**table, "name": "a"}}}
    assert encoding.transaction([known]) is not None
    assert encoding.transaction([]) is None
    unknown: list[Command] = [
        {"add": {"chain": {**table, "name": "a", "type": "nat", "hook": "output", "prio": 0, "policy": "accept"}}},
        {"add": {"element": {**table, "name": "a", "elem": [{"prefix": {"addr": "10.0.0.0", "len": 8}}]}}},
        {"add": {"rule": {**table, "chain": "a", "expr": [{"accept": None}]}}},
        {"flush": {"set": {**table, "name": "a"}}},
    ]
    assert [encoding.transaction([known, each]) for each in unknown] == [None] * 4
