"""A ruleset as a value, and the commands (libnftables-json(5)) that make one of another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field

TABLE = "hivemind"
Key = str | tuple[str | int, ...]
"""An address, a range (``10.0.0.0/8``), or the parts of a concatenation."""
Expression = dict[str, Any]
Command = dict[str, Any]


class NamedSet(Struct, frozen=True, kw_only=True):
    """`elements`: of a verdict map, the chain that each key leads to; of a set, None for each."""

    type: tuple[str, ...]
    elements: Mapping[Key, str | None] = field(default_factory=dict)
    verdicts: bool = False
    interval: bool = False


class Hook(Struct, frozen=True):
    """`kind` is filter or nat."""

    kind: str
    name: str
    priority: int


class Chain(Struct, frozen=True):
    """`rules`: each is a list of expressions."""

    rules: tuple[tuple[Expression, ...], ...]
    hook: Hook | None = None


class Family(Struct, frozen=True):
    """Of addresses: its names for the kernel's tables, types of sets and packets' fields."""

    table: str
    address: str
    icmp: str


IPV4, IPV6 = Family("ip", "ipv4_addr", "icmp"), Family("ip6", "ipv6_addr", "icmpv6")


class Ruleset(Struct, frozen=True):
    """Everything in the table of one family, by name."""

    sets: Mapping[str, NamedSet] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)
    counters: frozenset[str] = frozenset()
    family: Family = IPV4


def remove_table(family: Family = IPV4) -> list[Command]:
    """Adding it first makes this work where there is none."""
    table = {"table": {"family": family.table, "name": TABLE}}
    return [{"add": table}, {"delete": table}]


def put_table(new: Ruleset) -> list[Command]:
    """The whole of it, whatever was there."""
    table = {"table": {"family": new.family.table, "name": TABLE}}
    return [*remove_table(new.family), {"add": table}, *changes(Ruleset(family=new.family), new)]


def changes(old: Ruleset, new: Ruleset) -> list[Command]:
    """What to do in one transaction; empty if they are alike. Both are of one family."""
    named = partial(_named, new.family)
    return [
        *({"add": named("counter", name=name)} for name in sorted(new.counters - old.counters)),
        *_added_sets(old, new, named),
        *_chain_changes(old, new, named),
        *_gone(old, new, named),
    ]


Named = Callable[..., Expression]
"""Says where in our table something is: its kind, and fields beside the table's."""


def _named(family: Family, kind: str, **fields: Any) -> Expression:
    return {kind: {"family": family.table, "table": TABLE, **fields}}


def _added_sets(old: Ruleset, new: Ruleset, named: Named) -> Iterator[Command]:
    # Rules refer to sets, verdict maps to chains: so chains come between a map and its elements.
    for name in new.sets.keys() - old.sets.keys():
        made = new.sets[name]
        kind = {"map": "verdict"} if made.verdicts else {}
        flags = {"flags": ["interval"]} if made.interval else {}
        what = "map" if made.verdicts else "set"
        type_ = list(made.type) if len(made.type) > 1 else made.type[0]
        yield {"add": named(what, name=name, type=type_, **kind, **flags)}


def _chain_changes(old: Ruleset, new: Ruleset, named: Named) -> Iterator[Command]:
    changed = [
        name for name, chain in new.chains.items() if (there := old.chains.get(name)) is not chain and there != chain
    ]
    for name in changed:
        if name not in old.chains:
            hook = new.chains[name].hook
            how = {} if hook is None else _hook_fields(hook)
            yield {"add": named("chain", name=name, **how)}
        else:
            yield {"flush": named("chain", name=name)}
    for name in changed:
        for rule in new.chains[name].rules:
            yield {"add": named("rule", chain=name, expr=list(rule))}
    yield from _element_changes(old, new, named)


def _hook_fields(hook: Hook) -> dict[str, Any]:
    return {"type": hook.kind, "hook": hook.name, "prio": hook.priority, "policy": "accept"}


def _element_changes(old: Ruleset, new: Ruleset, named: Named) -> Iterator[Command]:
    for name, wanted in new.sets.items():
        there = old.sets.get(name)
        if there is wanted:
            continue
        known: Mapping[Key, str | None] = {} if there is None else there.elements
        if wanted.interval and known != wanted.elements:
            # Ranges that touch are one to the kernel; a single one cannot be taken out of the middle.
            if known:
                yield {"flush": named("set", name=name)}
            known = {}
        gone = [key for key in known if wanted.elements.get(key, "") != known[key]]
        fresh = {key: to for key, to in wanted.elements.items() if key not in known or known[key] != to}
        if gone:
            yield {"delete": named("element", name=name, elem=[_key(key) for key in gone])}
        if fresh:
            yield {"add": named("element", name=name, elem=[_element(key, to) for key, to in fresh.items()])}


def _gone(old: Ruleset, new: Ruleset, named: Named) -> Iterator[Command]:
    chains = [name for name in old.chains if name not in new.chains]
    for name in chains:
        yield {"flush": named("chain", name=name)}
    for name in old.sets.keys() - new.sets.keys():
        yield {"delete": named("map" if old.sets[name].verdicts else "set", name=name)}
    for name in chains:
        yield {"delete": named("chain", name=name)}
    for name in sorted(old.counters - new.counters):
        yield {"delete": named("counter", name=name)}


def _element(key: Key, to: str | None) -> Any:
    return _key(key) if to is None else [_key(key), {"goto": {"target": to}}]


def _key(key: Key) -> Any:
    if isinstance(key, tuple):
        return {"concat": list(key)}
    address, slash, length = key.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if slash else address


def set_of(addresses: Iterable[str], family: Family = IPV4, *, interval: bool = False) -> NamedSet:
    return NamedSet(type=(family.address,), elements=dict.fromkeys(addresses), interval=interval)
