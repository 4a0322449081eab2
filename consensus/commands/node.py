"""What is decided about nodes."""

from __future__ import annotations

from msgspec import field

from consensus.commands.base import Command
from consensus.model.node import HostPort, NodeFacts, NodeStatus, Taint


class AddNode(Command, frozen=True):
    """A node was let in by its token. Refused while a live node has the id."""

    node_id: str
    facts: NodeFacts


class StartNode(Command, frozen=True):
    """A node's daemon says what it is, once for each run (`boot_id`), and is ready from then on."""

    node_id: str
    boot_id: str
    facts: NodeFacts


class SetNodeStatus(Command, frozen=True):
    """The leader's verdict. Only from `expected`, so that a verdict on old news changes nothing."""

    node_id: str
    expected: NodeStatus
    status: NodeStatus
    boot_id: str = ""
    message: str = ""


class SetMaintenance(Command, frozen=True):
    node_id: str
    enable: bool
    drain: bool = False


class LabelNode(Command, frozen=True):
    """Replaces the labels and taints that were set through the API."""

    node_id: str
    labels: dict[str, str]
    taints: list[Taint] = field(default_factory=list)


class ChangeNodeLabels(Command, frozen=True):
    """Changes single labels (None: takes it away) and taints; a taint takes the place of one of its key and effect.

    In `remove_taints` an empty effect means every effect.
    """

    node_id: str
    labels: dict[str, str | None] = field(default_factory=dict)
    add_taints: list[Taint] = field(default_factory=list)
    remove_taints: list[Taint] = field(default_factory=list)


class RemoveNode(Command, frozen=True):
    """Ends a membership for good; refused while the node has tasks, unless forced."""

    node_id: str
    force: bool = False


class ReportPorts(Command, frozen=True):
    """Which host ports this run of the node's daemon cannot open, since another program has them."""

    node_id: str
    boot_id: str
    taken: tuple[HostPort, ...]
