"""Rules as text: what is missing is added, what is there stays, all of it goes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.model.network import OverlayMode
from runtime.network.overlay import firewall
from runtime.network.overlay.firewall import CHAIN
from tests.runtime.network.overlay.test_links import plan_of

_BARE = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"
_DOCKER = """*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
COMMIT
"""
_DROPPING = _BARE.replace(":FORWARD ACCEPT", ":FORWARD DROP")


class FakeTables:
    """Does what iptables-restore --noflush does, for the words that are used here."""

    def __init__(self, saved: str) -> None:
        self.tables: dict[str, list[str]] = {}
        for line in saved.splitlines():
            if line.startswith("*"):
                rows = self.tables.setdefault(line[1:], [])
            elif line != "COMMIT":
                rows.append(line)

    @property
    def saved(self) -> str:
        return "".join("\n".join([f"*{name}", *rows, "COMMIT", ""]) for name, rows in self.tables.items())

    def restore(self, text: str) -> None:
        for line in text.splitlines():
            words = line.split()
            if line.startswith("*"):
                rows = self.tables.setdefault(line[1:], [])
            elif line.startswith(":") and words[1] != "-":
                rows[:] = [line, *(row for row in rows if not row.startswith(f"{words[0]} "))]
            elif line.startswith(":"):
                rows[:] = [row for row in rows if not row.startswith(f"-A {words[0][1:]} ")]
                if line not in rows:
                    rows.append(line)
            elif words[0] == "-A":
                rows.append(line)
            elif words[0] == "-I":
                rows.insert(0, line.replace("-I", "-A", 1))
            elif words[0] == "-D":
                rows.remove(line.replace("-D", "-A", 1))
            elif words[0] == "-F":
                rows[:] = [row for row in rows if not row.startswith(f"-A {words[1]} ")]
            elif words[0] == "-X":
                rows[:] = [row for row in rows if not row.startswith(f":{words[1]} ")]


def test_packets_pass_by_the_tunnel_and_beside_it_where_some_nodes_do_without() -> None:
    plan = plan_of(2)
    through = firewall.filter_rules(plan, "eth0")
    both = firewall.filter_rules(replace(plan, direct=frozenset()), "eth0")
    assert [rule for rule in both if "eth0" not in rule] == through
    assert len(both) == 2 * len(through)


@pytest.mark.parametrize("saved", [_BARE, _DOCKER, _DROPPING])
@pytest.mark.parametrize("mode", [OverlayMode.VXLAN, OverlayMode.HOST_GW])
def test_rules_are_put_in_once_and_taken_out_whole(saved: str, mode: OverlayMode) -> None:
    plan, tables = plan_of(2, mode), FakeTables(saved)
    text = firewall.restore_input(tables.saved, plan, "eth0")
    assert text is not None
    tables.restore(text)
    assert firewall.restore_input(tables.saved, plan, "eth0") is None
    gate = {_BARE: None, _DOCKER: "DOCKER-USER", _DROPPING: "FORWARD"}[saved]
    jumps = [row for row in tables.tables["filter"] if row.endswith(f"-j {CHAIN}")]
    assert jumps == ([] if gate is None else [f"-A {gate} -j {CHAIN}"])
    removal = firewall.removal_input(tables.saved)
    assert removal is not None
    tables.restore(removal)
    assert tables.saved == saved
    assert firewall.removal_input(saved) is None


def test_another_range_and_another_subnet_replace_the_old_rules() -> None:
    plan, tables = plan_of(2), FakeTables(_DOCKER)
    tables.restore(firewall.restore_input(tables.saved, plan, "eth0") or "")
    grown = replace(plan, ranges=(*plan.ranges, "10.246.0.0/16"), subnet="10.246.0.0/24")
    tables.restore(firewall.restore_input(tables.saved, grown, "eth0") or "")
    assert firewall.restore_input(tables.saved, grown, "eth0") is None
    assert "10.244.0.0/24" not in tables.saved
    assert f"-A {CHAIN} -d 10.246.0.0/16 -j RETURN" in tables.tables["nat"]


def test_what_stays_in_the_cluster_keeps_its_address() -> None:
    rules = firewall.nat_rules(plan_of(2))
    assert rules[-1] == f"-A {CHAIN} ! -o hivemind0 -j MASQUERADE"
    assert f"-A {CHAIN} -d 10.244.0.0/16 -j RETURN" in rules[:-1]
