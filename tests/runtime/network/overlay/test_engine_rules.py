"""Docker's rules, as iptables-save shows them, vanish and come back: all of them, once, and nothing else."""

from __future__ import annotations

import pytest

from runtime.network.overlay import firewall
from runtime.network.overlay.engine_rules import GRACE_S, EngineRules
from tests.runtime.network.overlay.test_firewall import FakeTables
from tests.runtime.network.overlay.test_links import plan_of

DOCKER_20 = """*filter
:INPUT ACCEPT [10:840]
:FORWARD DROP [3:180]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER ! -s 192.0.2.0/24 -i eth0 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""
_FOREIGN = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:mine - [0:0]
-A INPUT -i eth0 -p tcp -m tcp --dport 23 -j DROP
-A FORWARD -i eth0 -j mine
COMMIT
"""
_FLUSHED = ""


def _essence(saved: str) -> dict[str, set[str]]:
    """Without the kernel's chains that let all pass, and without counts."""
    return {
        name: {line.partition(" [")[0] for line in lines if " ACCEPT [" not in line}
        for name, lines in firewall.tables(saved).items()
    }


def _rules(tables: FakeTables, chain: str) -> list[str]:
    return [row for rows in tables.tables.values() for row in rows if row.startswith(f"-A {chain} ")]


@pytest.mark.parametrize("left", [_FLUSHED, _FOREIGN])
def test_what_vanished_is_put_back_after_a_grace_and_once(left: str) -> None:
    known, tables = EngineRules(), FakeTables(left)
    assert known.restore_input(DOCKER_20, 0.0) is None
    assert known.restore_input(tables.saved, 10.0) is None
    assert known.lost
    assert known.restore_input(tables.saved, 10.0 + GRACE_S / 2) is None
    text = known.restore_input(tables.saved, 10.0 + GRACE_S)
    assert text is not None
    tables.restore(text)
    assert known.restore_input(tables.saved, 13.0) is None
    assert not known.lost
    before = FakeTables(DOCKER_20)
    for chain in ("FORWARD", "PREROUTING", "POSTROUTING", "DOCKER", "DOCKER-USER", "DOCKER-ISOLATION-STAGE-1"):
        mine = _rules(FakeTables(left), chain)
        assert _rules(tables, chain) == _rules(before, chain) + mine, chain
    if left == _FLUSHED:
        assert _essence(tables.saved) == _essence(DOCKER_20)


def test_what_the_engine_put_back_itself_is_left_alone() -> None:
    known = EngineRules()
    known.restore_input(DOCKER_20, 0.0)
    assert known.restore_input(_FLUSHED, 10.0) is None
    assert known.restore_input(DOCKER_20, 10.0 + GRACE_S) is None
    assert not known.lost


def test_without_rules_of_an_engine_nothing_is_missed() -> None:
    known = EngineRules()
    for at_s, saved in enumerate((_FOREIGN, _FLUSHED, _FLUSHED, _FLUSHED)):
        assert known.restore_input(saved, at_s * GRACE_S) is None
        assert not known.lost


def test_ours_are_not_taken_for_the_engines() -> None:
    known, tables, plan = EngineRules(), FakeTables(DOCKER_20), plan_of(2)
    tables.restore(firewall.restore_input(tables.saved, plan, "eth0") or "")
    known.restore_input(tables.saved, 0.0)
    known.restore_input(_FLUSHED, 1.0)
    text = known.restore_input(_FLUSHED, 1.0 + GRACE_S)
    assert text is not None
    assert firewall.CHAIN not in text
