"""The cluster itself: status, join token, metrics."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Raw
from api.call import Call
from api.deps import Deps
from api.errors import NotFound
from api.route import Access, Route
from consensus.model.node import NodeStatus
from consensus.state import State
from consensus.timestamp import iso_utc


class ClusterAnswer(Struct, frozen=True, kw_only=True):
    id: str
    node_id: str
    leader: str | None
    term: int
    voters: list[str]
    index: int
    last_contact_ms: float | None
    nodes: int
    ready_nodes: int
    version: str
    feature_level: int
    created_at: str


class TokenAnswer(Struct, frozen=True):
    token: str


def cluster_answer(state: State, deps: Deps) -> ClusterAnswer:
    """Raises NotFound."""
    view = deps.cluster
    if state.cluster is None:
        raise NotFound("this node is not part of a cluster yet")
    contact_s = view.last_leader_contact_s
    return ClusterAnswer(
        id=state.cluster.id,
        node_id=view.node_id,
        leader=view.leader_id,
        term=view.term,
        voters=sorted(view.voters),
        index=deps.replica.index,
        last_contact_ms=None if contact_s is None else round(contact_s * 1000, 1),
        nodes=len(state.nodes),
        ready_nodes=sum(node.status is NodeStatus.READY for node in state.nodes.values()),
        version=deps.settings.version,
        feature_level=state.feature_level,
        created_at=iso_utc(state.cluster.created_at_s),
    )


async def get_cluster(call: Call) -> Answer:
    return Answer(cluster_answer(call.state, call.deps))


async def get_token(call: Call) -> Answer:
    return Answer(TokenAnswer(await call.deps.join_token()))


async def get_metrics(call: Call) -> Raw:
    return Raw(call.deps.render_metrics(), "text/plain; version=0.0.4; charset=utf-8")


ROUTES = (
    Route(
        method="GET",
        path="/cluster",
        access=Access.VIEW,
        permission="cluster:read",
        handler=get_cluster,
        answer=ClusterAnswer,
    ),
    Route(
        method="GET",
        path="/cluster/token",
        access=Access.ADMIN,
        permission="cluster:create",
        handler=get_token,
        answer=TokenAnswer,
    ),
    Route(
        method="GET",
        path="/metrics",
        access=Access.VIEW,
        permission="metrics:read",
        handler=get_metrics,
        media_type="text/plain",
    ),
)
