"""Network policies as chains and sets. Pure.

Every node knows all policies and all containers' addresses, so that a packet is judged where it is first forwarded:
there its client's own address is known, which another node may only see masqueraded. What comes from another node's
own addresses was judged there.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from consensus.model.network_policy import Direction, NetworkPolicy, Peer, PortRange, Rule, Selector
from consensus.state import State
from runtime.network.nft import match
from runtime.network.nft.ruleset import IPV4, Chain, Expression, Family, Hook, NamedSet, Ruleset, set_of

LOG_GROUP = 4483
VERDICTS = ("allow", "drop")
_BEFORE_DOCKER = -5
_LOGGED_PER_S = 20
"""More new connections of one rule are counted, but not told."""
_NODES, _CONTAINERS = "nodes", "containers"


class Addresses:
    """Who has which address of one family: containers by the labels that selectors look at."""

    def __init__(self, state: State, family: Family = IPV4) -> None:
        self._labels: dict[tuple[str, int], Mapping[str, str]] = {}
        self._addresses: dict[tuple[str, int], list[str]] = {}
        for task in state.tasks.values():
            status = task.status
            address = status.ip_address if family is IPV4 else status.ip6_address
            if address is None or status.state.terminal:
                continue
            spec = task.app, task.revision
            if spec not in self._labels:
                self._labels[spec] = state.labels_of(task)
            self._addresses.setdefault(spec, []).append(address)

    def of(self, selector: Selector) -> list[str]:
        chosen = (spec for spec, labels in self._labels.items() if selector.selects(labels))
        return sorted({address for spec in chosen for address in self._addresses[spec]})

    @property
    def all(self) -> list[str]:
        return sorted({address for some in self._addresses.values() for address in some})


class PolicyId(Struct, frozen=True):
    """Names of a policy's things in the kernel, which takes neither dots nor long names."""

    policy: str

    @property
    def short(self) -> str:
        return f"p{zlib.crc32(self.policy.encode()):08x}"

    def counter(self, verdict: str) -> str:
        return f"{self.short}_{verdict}"

    def prefix(self, verdict: str) -> str:
        return f"{verdict} {self.policy}"


class Around(Struct, frozen=True):
    """This node's subnet of one family, and the addresses that nodes themselves have in the overlay."""

    family: Family
    subnet: str
    nodes: frozenset[str]


def policy_rules(policies: Sequence[NetworkPolicy], addresses: Addresses, around: Around) -> Ruleset:
    """Of all policies, in the order of their names; empty where there are none."""
    family = around.family
    if not policies:
        return Ruleset(family=family)
    sets: dict[str, NamedSet] = {_NODES: set_of(sorted(around.nodes), family)}
    chains: dict[str, Chain] = {}
    closed: dict[Direction, set[str]] = {"ingress": set(), "egress": set()}
    directions: tuple[tuple[Direction, Expression, Expression], ...] = (
        ("ingress", match.target(family), match.source(family)),
        ("egress", match.source(family), match.target(family)),
    )
    for direction, own, other in directions:
        rules: list[tuple[Expression, ...]] = []
        refusals: list[tuple[Expression, ...]] = []
        for policy in policies:
            if not policy.closes(direction):
                continue
            selected = addresses.of(policy.selector)
            closed[direction] |= set(selected)
            name = f"{PolicyId(policy.name).short}_selected"
            sets[name] = set_of(selected, family)
            is_selected = match.equal(own, f"@{name}")
            for number, rule in enumerate(policy.rules(direction)):
                peers = f"{PolicyId(policy.name).short}_{direction}_{number}"
                who = [is_selected]
                if rule.peers:
                    sets[peers] = set_of(_ranges(rule.peers, addresses, family), family, interval=True)
                    who.append(match.equal(other, f"@{peers}"))
                for ports in _ports(rule, family):
                    rules += _judged(policy, "allow", [*who, *ports], match.RETURN)
            refusals += _judged(policy, "drop", [is_selected], None)
        chains[direction] = Chain((*rules, *refusals, (match.DROP,)))
        sets[f"closed_{direction}"] = set_of(sorted(closed[direction]), family)
    sets[_CONTAINERS] = set_of(addresses.all, family)
    chains["forward"] = _forward(around, closed)
    return Ruleset(sets, chains, frozenset(_counters(policies)), family)


def _forward(around: Around, closed: Mapping[Direction, set[str]]) -> Chain:
    source, target = match.source(around.family), match.target(around.family)
    rules: list[tuple[Expression, ...]] = [
        *([] if around.family is IPV4 else [(match.NEIGHBOURS, match.ACCEPT)]),
        (match.ESTABLISHED, match.ACCEPT),
        (match.equal(source, f"@{_NODES}"), match.ACCEPT),
        (match.equal(source, "@closed_egress"), match.jump("egress")),
        (match.equal(target, "@closed_ingress"), match.jump("ingress")),
    ]
    if closed["egress"]:
        # A container runs a moment before the cluster knows its address: until then it may be one that is closed.
        unknown = (
            match.equal(source, match.network(around.subnet)),
            match.unequal(source, f"@{_CONTAINERS}"),
            match.DROP,
        )
        rules.append(unknown)
    return Chain(tuple(rules), Hook("filter", "forward", _BEFORE_DOCKER))


def _judged(
    policy: NetworkPolicy, verdict: str, conditions: Sequence[Expression], end: Expression | None
) -> list[tuple[Expression, ...]]:
    """The rules that count, tell (where asked for) and end. A refusal ends after all policies had their say."""
    who = PolicyId(policy.name)
    rules: list[tuple[Expression, ...]] = []
    if policy.traffic_logging:
        limit: Expression = {"limit": {"rate": _LOGGED_PER_S, "per": "second"}}
        log: Expression = {"log": {"prefix": who.prefix(verdict), "group": LOG_GROUP}}
        rules.append((*conditions, limit, log))
    return [*rules, (*conditions, {"counter": who.counter(verdict)}, *([] if end is None else [end]))]


def _counters(policies: Iterable[NetworkPolicy]) -> Iterable[str]:
    return (PolicyId(policy.name).counter(verdict) for policy in policies for verdict in VERDICTS)


def _ports(rule: Rule, family: Family) -> list[list[Expression]]:
    """For each of the rule's ports, what a packet must match; of a rule without ports, nothing."""
    return [_port(port, family) for port in rule.ports] or [[]]


def _port(port: PortRange, family: Family) -> list[Expression]:
    protocol = port.protocol.lower()
    only = [match.equal(match.PROTOCOL, family.icmp if protocol == "icmp" else protocol)]
    if port.bounds is None:
        return only
    low, high = port.bounds
    return [*only, match.equal(match.PORT, low if low == high else {"range": [low, high]})]


def _ranges(peers: Iterable[Peer], addresses: Addresses, family: Family) -> list[str]:
    """Without overlaps, which an interval set cannot have; ranges of the other family are not in it."""
    version = 4 if family is IPV4 else 6
    texts: list[str] = []
    for peer in peers:
        if peer.ip_block is not None:
            texts.append(peer.ip_block)
        elif peer.selector is not None:
            texts += addresses.of(peer.selector)
    found = [network for network in map(ipaddress.ip_network, texts) if network.version == version]
    return [str(network) for network in ipaddress.collapse_addresses(found)]  # type: ignore[type-var]
