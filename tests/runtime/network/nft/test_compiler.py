"""From a State to the kernel's rules: what the kernel is given, what it is not, and how little a change costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import commands as c
from consensus.model.service import GivenEndpoint, ServicePort
from runtime.network.nft.balance import ADDRESSES, PORTS, Here, is_kernels, turns
from runtime.network.nft.compiler import Compiler
from runtime.network.nft.ruleset import Command, Ruleset, changes, put_table
from runtime.network.routes import Backend, Policy, Route, ServiceAddress
from tests.runtime.network.nft.overlay_state import overlay_cluster, policy, serve

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


def test_without_a_part_in_the_overlay_there_are_no_rules() -> None:
    feed = overlay_cluster()
    assert Compiler("n9").update(feed.state, set(), {}) is None


def _nft(namespace: list[str], commands: list[Command]) -> None:
    done = subprocess.run(
        [*namespace, "nft", "-j", "-f", "-"], input=json.dumps({"nftables": commands}), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def _kernel(namespace: list[str]) -> list[str]:
    """The words of the kernel's ruleset, sorted: its sets have no order."""
    argv = [*namespace, "nft", "-s", "list", "ruleset"]
    done = subprocess.run(argv, text=True, capture_output=True, check=True)
    return sorted(done.stdout.replace(",", " ").split())


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft")
def test_the_kernel_takes_every_change_and_ends_with_what_a_fresh_table_has() -> None:
    feed, compiler = overlay_cluster(), Compiler("n1")
    web = serve(feed, "web", {"10.244.0.2": "n1", "10.244.1.2": "n2"}, host_port=8080)
    serve(feed, "db", {"10.244.0.3": "n1"}, port=5432)
    rules = [{"ports": [{"port_min": 80, "port_max": 90}, {"protocol": "ICMP"}], "from": [{"ip_block": "10.0.0.0/9"}]}]
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
    holder = subprocess.Popen(["unshare", "-n", "sleep", "60"])
    namespace = ["nsenter", "-t", str(holder.pid), "-n"]
    try:
        known: Ruleset | None = None
        for step in [None, *steps]:
            if step is not None:
                feed.accepted(step)
            wanted = compiler.update(feed.state, {"web", "db"}, {})
            assert wanted is not None
            _nft(namespace, put_table(wanted) if known is None else changes(known, wanted))
            known = wanted
            changed = _kernel(namespace)
            _nft(namespace, put_table(wanted))
            assert _kernel(namespace) == changed, step
    finally:
        holder.kill()
        holder.wait()
