"""Filters: each says whether a node will do, and how to tell how many nodes it turned down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from consensus.model.affinity import Term, affinity_labels
from consensus.model.node import HostPort, NodeStatus
from consensus.model.workload import Toleration, intolerable
from hivemind.orchestrator.scheduler.capacity import Room, millis
from hivemind.orchestrator.scheduler.demand import Demand

_REPELLING = ("NoSchedule", "NoExecute")


class Filter(Protocol):
    def check(self, room: Room) -> bool:
        """Whether the task may go to this node."""
        ...

    def explain(self, count: int) -> str:
        """What is told where `count` nodes were turned down by this filter first."""
        ...


class IsMember:
    """Nodes that are restarting, lost or still joining take no new tasks."""

    def check(self, room: Room) -> bool:
        return room.node.status is NodeStatus.READY

    def explain(self, count: int) -> str:
        return f"{count} not ready"


class NotDraining:
    def check(self, room: Room) -> bool:
        return not room.node.draining

    def explain(self, count: int) -> str:
        return f"{count} draining"


class NotInMaintenance:
    def check(self, room: Room) -> bool:
        return not room.node.maintenance

    def explain(self, count: int) -> str:
        return f"{count} in maintenance"


class Untainted:
    """Every repelling taint keeps those away that do not tolerate it."""

    def __init__(self, tolerations: Sequence[Toleration] = ()) -> None:
        self._tolerations = tolerations

    def check(self, room: Room) -> bool:
        return not room.node.taints or not intolerable(room.node.taints, self._tolerations, _REPELLING)

    def explain(self, count: int) -> str:
        return f"{count} tainted"


class MatchesAffinity:
    def __init__(self, terms: Sequence[Term], text: str) -> None:
        self._terms = terms
        self._text = text

    def check(self, room: Room) -> bool:
        labels = affinity_labels(room.node)
        return all(term.holds(labels) for term in self._terms)

    def explain(self, count: int) -> str:
        return f"{count} not matching {self._text!r}"


class UnreadableAffinity:
    """Guessing what was meant could put a task where it must not run."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def check(self, room: Room) -> bool:
        return False

    def explain(self, count: int) -> str:
        return f"{count} not matching: {self._problem}"


class LargeEnough:
    """A limit that is more than the whole node could never be reached there: the app was sized for another."""

    def __init__(self, cpu_limit: float, memory_limit_bytes: int) -> None:
        self._cpu_limit = cpu_limit
        self._memory_limit_bytes = memory_limit_bytes

    def check(self, room: Room) -> bool:
        facts = room.node.facts
        return self._cpu_limit <= facts.cpu_cores and self._memory_limit_bytes <= facts.memory_bytes

    def explain(self, count: int) -> str:
        limits = [f"{self._cpu_limit:g} cores"] if self._cpu_limit else []
        limits += [size_text(self._memory_limit_bytes)] if self._memory_limit_bytes else []
        return f"{count} smaller than the limit of {' and '.join(limits)}"


class RunsImage:
    """The image is there for these architectures."""

    def __init__(self, architectures: Sequence[str]) -> None:
        self._architectures = architectures

    def check(self, room: Room) -> bool:
        return any(room.node.facts.runs(architecture) for architecture in self._architectures)

    def explain(self, count: int) -> str:
        return f"{count} of another architecture than the image's ({', '.join(self._architectures)})"


class HasHostPorts:
    """It would be published on a node that cannot be asked for it. `ports` are those that it publishes."""

    def __init__(self, ports: frozenset[HostPort]) -> None:
        self._ports = ports

    def check(self, room: Room) -> bool:
        return not room.node.taken_ports or not self._ports.intersection(room.node.taken_ports)

    def explain(self, count: int) -> str:
        ports = ", ".join(str(port) for port in sorted(self._ports))
        return f"{count} where another program has host port {ports}"


class HasVolumes:
    """A local volume's data is where its other tasks are. `pinned`: the nodes of each such volume."""

    def __init__(self, pinned: dict[str, frozenset[str]]) -> None:
        self._pinned = pinned

    def check(self, room: Room) -> bool:
        return all(room.node.id in nodes for nodes in self._pinned.values())

    def explain(self, count: int) -> str:
        places = ", ".join(f"{name} on {'/'.join(sorted(nodes)[:3])}" for name, nodes in sorted(self._pinned.items()))
        return f"{count} without the data of volume {places}"


class HasCpu:
    def __init__(self, cpu: float) -> None:
        self._cpu = cpu
        self._millis = millis(cpu)

    def check(self, room: Room) -> bool:
        return room.cpu_millis + self._millis <= room.cpu_millis_max or not self._millis

    def explain(self, count: int) -> str:
        return f"{count} {_lack(count)} cpu (need {self._cpu:g} cores)"


class HasMemory:
    def __init__(self, memory_bytes: int) -> None:
        self._bytes = memory_bytes

    def check(self, room: Room) -> bool:
        return room.memory_bytes + self._bytes <= room.memory_bytes_max or not self._bytes

    def explain(self, count: int) -> str:
        return f"{count} {_lack(count)} memory (need {size_text(self._bytes)})"


def _lack(count: int) -> str:
    return "lacks" if count == 1 else "lack"


def size_text(size_bytes: int) -> str:
    """Bytes in the largest unit that leaves a short number: ``4 GiB``."""
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.4g} {unit}"
    return f"{size_bytes} bytes"


def lasting_filters(demand: Demand, terms: Sequence[Term] | str) -> list[Filter]:
    """The filters whose answer does not change while a batch is placed. `terms` as text: why they are unreadable."""
    filters: list[Filter] = [IsMember(), NotDraining(), NotInMaintenance(), Untainted(demand.tolerations)]
    if demand.cpu_limit or demand.memory_limit_bytes:
        filters.append(LargeEnough(demand.cpu_limit, demand.memory_limit_bytes))
    if demand.host_ports:
        filters.append(HasHostPorts(demand.host_ports))
    if demand.architectures:
        filters.append(RunsImage(demand.architectures))
    if isinstance(terms, str):
        filters.append(UnreadableAffinity(terms))
    elif terms:
        filters.append(MatchesAffinity(terms, demand.affinity))
    return filters


def explain(rooms: Sequence[Room], filters: Sequence[Filter]) -> str:
    """Why no node will do: ``no node fits: 2 nodes lack memory (need 4 GiB), 1 in maintenance``."""
    reasons = turned_down(rooms, filters)
    if not reasons:
        return "no node fits: there is none"
    first = reasons[0].split(" ", 1)
    noun = "node" if first[0] == "1" else "nodes"
    return f"no node fits: {first[0]} {noun} {first[1]}" + "".join(f", {reason}" for reason in reasons[1:])


def turned_down(rooms: Sequence[Room], filters: Sequence[Filter]) -> list[str]:
    """How many nodes each filter turned down, the most first. A node counts for the first filter that did."""
    members = [room for room in rooms if room.node.status is not NodeStatus.LEFT]
    counts = Counter(i for room in members if (i := _first_no(room, filters)) is not None)
    return [filters[i].explain(count) for i, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _first_no(room: Room, filters: Sequence[Filter]) -> int | None:
    return next((i for i, rule in enumerate(filters) if not rule.check(room)), None)
