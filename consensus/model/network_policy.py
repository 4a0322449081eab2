"""Network policies: who may talk to whom. Kubernetes' semantics: all is open until a policy selects a container;
from then on only what some policy allows it passes, each direction for itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from consensus.model.workload import Name, PortNumber

Direction = Literal["ingress", "egress"]


class PortRange(Struct, frozen=True, forbid_unknown_fields=True):
    """Both bounds belong to it; without `port_max` it is one port, without bounds all. ICMP has no ports."""

    protocol: Annotated[str, Meta(pattern=r"(?i)^(tcp|udp|icmp)$")] = "TCP"
    port_min: PortNumber | None = None
    port_max: PortNumber | None = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        if self.port_min is None:
            return None if self.port_max is None else (1, self.port_max)
        return self.port_min, self.port_max or self.port_min

    def has(self, protocol: str, port: int) -> bool:
        if self.protocol.lower() != protocol:
            return False
        return self.bounds is None or self.bounds[0] <= port <= self.bounds[1]


class Selector(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Containers whose labels have all of these; without labels, all containers. `app` is the name of the app where
    it has no label of that name."""

    labels: dict[str, str] = field(default_factory=dict)

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.labels.items())


class Peer(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A range of addresses, or containers: one of both."""

    ip_block: str | None = None
    selector: Selector | None = None


class IngressRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"peers": "from"}):
    """Without `ports` all of them, without `from` from everybody."""

    ports: list[PortRange] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)


class EgressRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    """Its peers are in `to` or in `from`, whichever was given."""

    ports: list[PortRange] = field(default_factory=list)
    to: list[Peer] = field(default_factory=list)
    from_: list[Peer] = field(default_factory=list)

    @property
    def peers(self) -> list[Peer]:
        return [*self.to, *self.from_]


Rule = IngressRule | EgressRule


class NetworkPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`policy_types`: the directions that are closed for the selected containers but for its rules; by default
    ingress, and egress where there are egress rules. `traffic_logging`: new connections are told in the nodes' logs.
    `encryption_required`: the overlay stays encrypted as long as the policy is there.
    """

    name: Name
    description: str = ""
    selector: Selector = Selector()
    ingress_rules: list[IngressRule] = field(default_factory=list)
    egress_rules: list[EgressRule] = field(default_factory=list)
    policy_types: list[Direction] | None = None
    encryption_required: bool = False
    traffic_logging: bool = False

    def closes(self, direction: Direction) -> bool:
        if self.policy_types is not None:
            return direction in self.policy_types
        return direction == "ingress" or bool(self.egress_rules)

    def rules(self, direction: Direction) -> Sequence[Rule]:
        """Those that count: of a direction that it closes."""
        if not self.closes(direction):
            return []
        return self.ingress_rules if direction == "ingress" else self.egress_rules

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field path and what was expected there."""
        for i, rule in enumerate(self.ingress_rules):
            yield from _rule_problems(f"ingress_rules[{i}]", rule.ports, {"from": rule.peers})
        for i, egress in enumerate(self.egress_rules):
            path = f"egress_rules[{i}]"
            yield from _rule_problems(path, egress.ports, {"to": egress.to, "from": egress.from_})
            if egress.to and egress.from_:
                yield path, "expected its peers in to or in from, got both"
        for direction, rules in (("ingress", self.ingress_rules), ("egress", self.egress_rules)):
            if rules and self.policy_types is not None and direction not in self.policy_types:
                yield "policy_types", f"expected {direction} in it, there are {direction}_rules"


def _rule_problems(path: str, ports: list[PortRange], peers: Mapping[str, list[Peer]]) -> Iterator[tuple[str, str]]:
    for i, port in enumerate(ports):
        if port.bounds is not None and port.bounds[0] > port.bounds[1]:
            yield f"{path}.ports[{i}].port_max", f"expected at least port_min ({port.port_min}), got {port.port_max}"
        if port.bounds is not None and port.protocol.lower() == "icmp":
            yield f"{path}.ports[{i}].port_min", "ICMP has no ports"
    for name, among in peers.items():
        for i, peer in enumerate(among):
            where = f"{path}.{name}[{i}]"
            if (peer.ip_block is None) == (peer.selector is None):
                yield where, "expected either ip_block or selector"
            elif peer.ip_block is not None:
                try:
                    ipaddress.ip_network(peer.ip_block)
                except ValueError:
                    yield f"{where}.ip_block", f"expected a range such as 10.0.0.0/8, got {peer.ip_block!r}"
