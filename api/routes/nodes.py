"""Nodes: look at them, drain them, label them, take them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import InvalidRequest
from api.route import Access, Kind, Listing, Parameter, Route, Subject
from api.views.node import SEE_CONTAINERS, NodeDetail, NodeItem, node_detail, node_item
from consensus.commands import ChangeNodeLabels, LabelNode, RemoveNode, SetMaintenance
from consensus.model.node import Node, Taint

Problems = Iterator[tuple[str, str]]
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class MaintenanceBody(Struct, frozen=True, forbid_unknown_fields=True):
    enable: bool
    drain: bool = False


class LabelsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Replaces the labels set here before; `taints`, where given, those."""

    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Taint] | None = None


class TaintName(Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    effect: str = ""


class LabelChangesBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes only what is named; null takes a label away. A taint to remove without `effect` goes with each of its
    effects, whatever its value."""

    labels: dict[str, str | None] = field(default_factory=dict)
    add_taints: list[Taint] = field(default_factory=list)
    remove_taints: list[TaintName] = field(default_factory=list)


def find(call: Call) -> Node:
    """The node that the path names. Raises NotFound."""
    return call.named(call.state.nodes, "node_id", "node")


async def list_nodes(call: Call) -> Answer:
    state, cluster = call.state, call.deps.cluster
    members = cluster.members()
    return await call.listed(
        sorted(state.nodes), lambda node_id: node_item(state, cluster, members, state.nodes[node_id])
    )


async def get_node(call: Call) -> Answer:
    return Answer(node_detail(call.state, call.deps.cluster, find(call), reach=call.identity.reach(SEE_CONTAINERS)))


async def set_maintenance(call: Call) -> Answer:
    node_id = call.path["node_id"]
    body = await call.body(MaintenanceBody)
    await call.propose(SetMaintenance(node_id=node_id, enable=body.enable, drain=body.drain))
    done = "Node put into maintenance mode" if body.enable else "Node taken out of maintenance mode"
    return Answer(Message(id=node_id, message=done))


async def set_labels(call: Call) -> Answer:
    node = find(call)
    body = await call.body(LabelsBody)
    taints = node.taints if body.taints is None else body.taints
    refuse_problems(_taint_problems("taints", taints))
    await call.propose(LabelNode(node_id=node.id, labels=body.labels, taints=taints))
    return Answer(Message(id=node.id, message="Node labelled successfully"))


def _taint_problems(path: str, taints: Iterable[Taint | TaintName], *, any_effect: bool = False) -> Problems:
    for i, taint in enumerate(taints):
        if taint.effect not in TAINT_EFFECTS and not (any_effect and not taint.effect):
            yield f"{path}[{i}].effect", f"expected one of {', '.join(TAINT_EFFECTS)}, got {taint.effect!r}"
        if not taint.key:
            yield f"{path}[{i}].key", "expected a key"


async def change_labels(call: Call) -> Answer:
    node = find(call)
    body = await call.body(LabelChangesBody)
    refuse_problems(_taint_problems("add_taints", body.add_taints))
    refuse_problems(_taint_problems("remove_taints", body.remove_taints, any_effect=True))
    if "" in body.labels:
        raise InvalidRequest("labels: expected a key, got an empty one")
    gone = [Taint(key=name.key, effect=name.effect) for name in body.remove_taints]
    await call.propose(
        ChangeNodeLabels(node_id=node.id, labels=body.labels, add_taints=body.add_taints, remove_taints=gone)
    )
    changed = "labelled" if body.labels or not (body.add_taints or body.remove_taints) else "tainted"
    return Answer(Message(id=node.id, message=f"Node {changed} successfully"))


async def remove_node(call: Call) -> Answer:
    node_id = call.path["node_id"]
    await call.propose(RemoveNode(node_id=node_id, force=call.query.boolean("force")))
    return Answer(Message(id=node_id, message="Node removed successfully"))


async def leave(call: Call) -> Answer:
    node = find(call)
    await call.deps.nodes.request_leave(node.id)
    call.note()
    return Answer(Message(id=node.id, message="Node drains and leaves"))


_NODE = Subject("nodes", "node_id")
ROUTES = (
    Route(
        method="GET",
        path="/nodes",
        access=Access.VIEW,
        permission="nodes:read",
        handler=list_nodes,
        listing=Listing("nodes", NodeItem),
    ),
    Route(
        method="GET",
        path="/nodes/{node_id}",
        access=Access.VIEW,
        permission="nodes:read",
        handler=get_node,
        answer=NodeDetail,
        subject=_NODE,
    ),
    Route(
        method="DELETE",
        path="/nodes/{node_id}",
        access=Access.ADMIN,
        permission="nodes:delete",
        handler=remove_node,
        parameters=(Parameter("force", Kind.BOOLEAN, "also while it has containers"),),
        answer=Message,
        subject=_NODE,
    ),
    Route(
        method="POST",
        path="/nodes/{node_id}/maintenance",
        access=Access.ADMIN,
        permission="nodes:update",
        handler=set_maintenance,
        body=MaintenanceBody,
        answer=Message,
        subject=_NODE,
    ),
    Route(
        method="PUT",
        path="/nodes/{node_id}/labels",
        access=Access.ADMIN,
        permission="nodes:update",
        handler=set_labels,
        body=LabelsBody,
        answer=Message,
        subject=_NODE,
    ),
    Route(
        method="PATCH",
        path="/nodes/{node_id}/labels",
        access=Access.ADMIN,
        permission="nodes:update",
        handler=change_labels,
        body=LabelChangesBody,
        answer=Message,
        subject=_NODE,
    ),
    Route(
        method="POST",
        path="/nodes/{node_id}/leave",
        access=Access.ADMIN,
        permission="nodes:delete",
        handler=leave,
        answer=Message,
        replicated=False,
    ),
)
