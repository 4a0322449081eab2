"""Which targets a name stands for, straight from the State. Pure.

`dead` are nodes that membership holds dead: their endpoints are gone at once, before the leader has moved them. A node
that announced a restart of its daemon is taken at its word: its containers run.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Set

from msgspec import Struct

from consensus.model import network
from consensus.model.network import Network
from consensus.model.node import NodeStatus
from consensus.model.task import Task
from consensus.state import State

SUFFIX = ".local"
_REVERSE, _REVERSE6 = ".in-addr.arpa", ".ip6.arpa"
_VIRTUAL = "vip."


class Target(Struct, frozen=True):
    """An address that a name leads to. `ports`: (protocol, container port, port at the address).

    `task_id`, `app` and `node_id` are empty for an address that a service was given.
    """

    address: str
    address6: str = ""
    ports: tuple[tuple[str, int, int], ...] = ()
    task_id: str = ""
    app: str = ""
    node_id: str = ""


def targets(state: State, dead: Set[str], name: str) -> tuple[Target, ...] | None:
    """`name` is in lower case and without the last dot. None: nothing is called so."""
    bare = name.removesuffix(SUFFIX)
    for each in (name, bare) if bare != name else (name,):
        found = _of_service(state, dead, each)
        if found is None and each in state.apps:
            found = tuple(_reachable(state.tasks_of_app(each), state, dead))
        if found is None:
            found = _of_task(state, dead, each)
        if found is not None:
            return found
    return None


def is_ours(name: str) -> bool:
    """Whether nobody else may say that there is no such name: single labels, and what ends in .local."""
    return "." not in name or name.endswith(SUFFIX)


def reverse_address(name: str) -> str | None:
    """The address that a name under in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596 §2.5) asks about."""
    try:
        if name.endswith(_REVERSE):
            return str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(_REVERSE).split(".")))))
        if name.endswith(_REVERSE6):
            nibbles = name.removesuffix(_REVERSE6).split(".")[::-1]
            if len(nibbles) == 32 and all(len(nibble) == 1 for nibble in nibbles):
                return str(ipaddress.IPv6Address(int("".join(nibbles), 16)))
    except ValueError:
        pass
    return None


def in_ranges(state: State, address: str) -> bool:
    """Whether it is an address of the overlay."""
    known = _network(state)
    return network.in_ranges((*known.ranges, *known.ranges6), address)


def _network(state: State) -> Network:
    return Network() if state.cluster is None else state.cluster.network


def pointer(state: State, dead: Set[str], address: str) -> str | None:
    """The name of what has this address: a task's or a service's; None: nothing has it."""
    service = state.service_by_address.get(address)
    if service is not None:
        return f"{_VIRTUAL}{service.removesuffix(SUFFIX)}{SUFFIX}"
    found = ipaddress.ip_address(address)
    for node in state.nodes.values():
        subnets = [each for each in (node.subnet, node.subnet6) if each is not None]
        if any(found in ipaddress.ip_network(each) for each in subnets):
            for target in _reachable(state.tasks_on_node(node.id), state, dead):
                if address in (target.address, target.address6):
                    return canonical(target)
    return None


def canonical(target: Target) -> str:
    """The name that leads to this target alone."""
    return f"{target.task_id}{SUFFIX}"


def _of_service(state: State, dead: Set[str], name: str) -> tuple[Target, ...] | None:
    service = state.services.get(name)
    if service is not None:
        given = tuple(Target(endpoint.ip_address) for endpoint in service.endpoints)
        living = list(_living(state.tasks_of_service(name), state, dead))
        found = (*_reachable(living, state, dead), *given)
        # By its virtual address, the user-space proxy reaches those that are not in the overlay, too.
        return (Target(service.virtual_ip),) if living and not found and service.virtual_ip else found
    if name.startswith(_VIRTUAL):
        behind = name.removeprefix(_VIRTUAL)
        service = state.services.get(behind) or state.services.get(behind + SUFFIX)
        if service is not None:
            return (Target(service.virtual_ip),) if service.virtual_ip else ()
    return None


def _of_task(state: State, dead: Set[str], name: str) -> tuple[Target, ...] | None:
    task = state.tasks.get(name)
    if task is not None:
        return tuple(_reachable([task], state, dead))
    head, _, app = name.partition(".")
    while app:
        if app in state.apps:
            found = [each for each in state.tasks_of_app(app) if head in (str(each.slot), each.name, each.id)]
            if found:
                return tuple(_reachable(found, state, dead))
        label, _, app = app.partition(".")
        head = f"{head}.{label}"
    return None


def _living(tasks: Iterable[Task], state: State, dead: Set[str]) -> Iterator[Task]:
    """Those that may get requests."""
    for task in tasks:
        if task.status.ip_address is None or task.node_id is None or not state.takes_traffic(task):
            continue
        if task.node_id not in dead or state.nodes[task.node_id].status is NodeStatus.RESTARTING:
            yield task


def _reachable(tasks: Iterable[Task], state: State, dead: Set[str]) -> Iterator[Target]:
    """Those of them whose address is the same from everywhere; one outside of the overlay is good on its own node, and
    may be another container's elsewhere."""
    ranges = [ipaddress.IPv4Network(each) for each in _network(state).ranges]
    for task in _living(tasks, state, dead):
        address, node_id = task.status.ip_address, task.node_id
        assert address is not None
        assert node_id is not None
        if not any(ipaddress.IPv4Address(address) in each for each in ranges):
            continue
        ports = tuple(
            (port.protocol, port.container_port, task.status.port_map.get(port.container_port, port.container_port))
            for port in state.spec_of(task).ports
        )
        yield Target(address, task.status.ip6_address or "", ports, task.id, task.app, node_id)
