"""A ruleset as a value, and the commands (libnftables-json(5)) that make one of another. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

TABLE = "hivemind"
FAMILY = "ip"
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


class Ruleset(Struct, frozen=True):
    """Everything in the table, by name."""

    sets: Mapping[str, NamedSet] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)
    counters: frozenset[str] = frozenset()


def _named(kind: str, **fields: Any) -> Expression:
    return {kind: {"family": FAMILY, "table": TABLE, **fields}}


def remove_table() -> list[Command]:
    """Adding it first makes this work where there is none."""
    table = {"table": {"family": FAMILY, "name": TABLE}}
    return [{"add": table}, {"delete": table}]


def put_table(new: Ruleset) -> list[Command]:
    """The whole of it, whatever was there."""
    return [*remove_table(), {"add": {"table": {"family": FAMILY, "name": TABLE}}}, *changes(Ruleset(), new)]


def changes(old: Ruleset, new: Ruleset) -> list[Command]:
    """What to do in one transaction; empty if they are alike."""
    return [
        *({"add": _named("counter", name=name)} for name in sorted(new.counters - old.counters)),
        *_added_sets(old, new),
        *_chain_changes(old, new),
        *_gone(old, new),
    ]


def _added_sets(old: Ruleset, new: Ruleset) -> Iterator[Command]:
    # Rules refer to sets, verdict maps to chains: so chains come between a map and its elements.
    for name in new.sets.keys() - old.sets.keys():
        made = new.sets[name]
        kind = {"map": "verdict"} if made.verdicts else {}
        flags = {"flags": ["interval"]} if made.interval else {}
        what = "map" if made.verdicts else "set"
        type_ = list(made.type) if len(made.type) > 1 else made.type[0]
        yield {"add": _named(what, name=name, type=type_, **kind, **flags)}


def _chain_changes(old: Ruleset, new: Ruleset) -> Iterator[Command]:
    changed = [
        name for name, chain in new.chains.items() if (there := old.chains.get(name)) is not chain and there != chain
    ]
    for name in changed:
        if name not in old.chains:
            hook = new.chains[name].hook
            how = {} if hook is None else _hook_fields(hook)
            yield {"add": _named("chain", name=name, **how)}
        else:
            yield {"flush": _named("chain", name=name)}
    for name in changed:
        for rule in new.chains[name].rules:
            yield {"add": _named("rule", chain=name, expr=list(rule))}
    yield from _element_changes(old, new)


def _hook_fields(hook: Hook) -> dict[str, Any]:
    return {"type": hook.kind, "hook": hook.name, "prio": hook.priority, "policy": "accept"}


def _element_changes(old: Ruleset, new: Ruleset) -> Iterator[Command]:
    for name, wanted in new.sets.items():
        there = old.sets.get(name)
        if there is wanted:
            continue
        known: Mapping[Key, str | None] = {} if there is None else there.elements
        if wanted.interval and known != wanted.elements:
            # Ranges that touch are one to the kernel; a single one cannot be taken out of the middle.
            if known:
                yield {"flush": _named("set", name=name)}
            known = {}
        gone = [key for key in known if wanted.elements.get(key, "") != known[key]]
        fresh = {key: to for key, to in wanted.elements.items() if key not in known or known[key] != to}
        if gone:
            yield {"delete": _named("element", name=name, elem=[_key(key) for key in gone])}
        if fresh:
            yield {"add": _named("element", name=name, elem=[_element(key, to) for key, to in fresh.items()])}


def _gone(old: Ruleset, new: Ruleset) -> Iterator[Command]:
    chains = [name for name in old.chains if name not in new.chains]
    for name in chains:
        yield {"flush": _named("chain", name=name)}
    for name in old.sets.keys() - new.sets.keys():
        yield {"delete": _named("map" if old.sets[name].verdicts else "set", name=name)}
    for name in chains:
        yield {"delete": _named("chain", name=name)}
    for name in sorted(old.counters - new.counters):
        yield {"delete": _named("counter", name=name)}


def _element(key: Key, to: str | None) -> Any:
    return _key(key) if to is None else [_key(key), {"goto": {"target": to}}]


def _key(key: Key) -> Any:
    if isinstance(key, tuple):
        return {"concat": list(key)}
    address, slash, length = key.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if slash else address


def set_of(addresses: Iterable[str], *, interval: bool = False) -> NamedSet:
    return NamedSet(type=("ipv4_addr",), elements=dict.fromkeys(addresses), interval=interval)
