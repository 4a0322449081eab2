"""The container engine's own packet rules, remembered and put back when all of them vanish. Pure.

`nft flush ruleset`, which many a firewall's reload begins with, takes Docker's chains away, and Docker makes them only
when it starts: until then it can publish no port and make no network. What counts as Docker's: chains whose names
begin with DOCKER, and what enters them or speaks of its bridges in the kernel's own chains. DOCKER-USER is part of it:
published ports must not come back without what restricts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from runtime.network.overlay.firewall import CHAIN, tables

GRACE_S = 2.0
"""Who takes rules away often puts them back himself, as Docker does when firewalld tells it."""
LOST = "the engine's packet rules are gone (chains DOCKER…), and its published ports; restart it if this stays"

_OWN = "DOCKER"
_LINK = re.compile(r" -[io] (\S+)")
_ITSELF = re.compile(r"-A POSTROUTING -s (\S+) -d \1 .*-j MASQUERADE")
"""A container that reaches itself by a published port."""


class TableRules(Struct, frozen=True):
    """The engine's part of one table, in the words of iptables-save. `entries` are rules in the kernel's chains.

    `chains` has FORWARD where that drops by its policy; other policies are not the engine's.
    """

    chains: tuple[str, ...]
    own: tuple[str, ...]
    entries: tuple[str, ...]


def engine_rules(saved: str) -> dict[str, TableRules]:
    """By table, of iptables-save's output; tables without chains of the engine's are not in it."""
    found = tables(saved)
    bridges = {link for lines in found.values() for rule in _own(lines) for link in _LINK.findall(rule)}
    has = {name: lines for name, lines in found.items() if any(line.startswith(f":{_OWN}") for line in lines)}
    return {name: _part(lines, bridges) for name, lines in has.items()}


class EngineRules:
    """Of one family of addresses. Feed it every look. `known`: by table, as they last were."""

    def __init__(self, known: Mapping[str, TableRules] | None = None) -> None:
        self.known = known or {}
        self._lost_at_s: float | None = None

    @property
    def lost(self) -> bool:
        """Whether they were gone at the last look."""
        return self._lost_at_s is not None

    def restore_input(self, saved: str, now_s: float) -> str | None:
        """What to feed to `iptables-restore --noflush` now; None: nothing is lost, or the engine may mend it itself."""
        there = engine_rules(saved)
        lost = {name: part for name, part in self.known.items() if name not in there}
        if not lost:
            self.known, self._lost_at_s = there, None
            return None
        if self._lost_at_s is None:
            self._lost_at_s = now_s
        if now_s < self._lost_at_s + GRACE_S:
            return None
        found = tables(saved)
        lines = [line for name, part in lost.items() for line in _restored(name, part, found.get(name, []))]
        return "\n".join([*lines, ""])


def _own(lines: Sequence[str]) -> Iterator[str]:
    """Rules of the engine's chains; ours among them are put back by us."""
    return (line for line in lines if line.startswith(f"-A {_OWN}") and not line.endswith(f" -j {CHAIN}"))


def _part(lines: Sequence[str], bridges: set[str]) -> TableRules:
    chains = tuple(_uncounted(line) for line in lines if line.startswith((f":{_OWN}", ":FORWARD DROP ")))
    foreign = [line for line in lines if line.startswith("-A ") and not line.startswith((f"-A {_OWN}", f"-A {CHAIN}"))]
    entries = tuple(line for line in foreign if not line.endswith(f" -j {CHAIN}") and _is_engines(line, bridges))
    return TableRules(chains, tuple(_own(lines)), entries)


def _is_engines(rule: str, bridges: set[str]) -> bool:
    return f" -j {_OWN}" in rule or _ITSELF.match(rule) is not None or not bridges.isdisjoint(_LINK.findall(rule))


def _uncounted(chain: str) -> str:
    return f"{chain.rpartition(' ')[0]} [0:0]"


def _restored(table: str, part: TableRules, have: Sequence[str]) -> list[str]:
    # At the top and in their order, as the engine puts them.
    inserts = [entry.replace("-A", "-I", 1) for entry in reversed(part.entries) if entry not in have]
    return [f"*{table}", *part.chains, *part.own, *inserts, "COMMIT"]
