"""What a query stands on: all of it is read from one State, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from msgspec import Struct

from api.auth.identity import Identity
from api.deps import ContainerStats, Deps, MemberView
from api.errors import InvalidRequest, NotFound
from api.events.feed import Told
from api.routes.cluster import ClusterAnswer, cluster_answer
from consensus.state import State


class FrozenCluster:
    """A ClusterView as it was when the query began: what a worker thread may read."""

    def __init__(self, deps: Deps) -> None:
        view = deps.cluster
        self.node_id, self.leader_id, self.term = view.node_id, view.leader_id, view.term
        self.last_leader_contact_s, self.voters = view.last_leader_contact_s, view.voters
        self.unfit = view.unfit
        self._members = dict(view.members())

    def members(self) -> Mapping[str, MemberView]:
        return self._members

    async def read_barrier(self) -> None:
        raise RuntimeError("a query confirms before it begins")


class EventQuery(Struct, frozen=True):
    """Which of the remembered events a query asks for."""

    types: tuple[str, ...]
    resources: tuple[str, ...]
    since: str | None
    limit: int


class World:
    """What one query sees: one State, one identity, and the metrics and events that were fetched for it.

    `wanted_stats` collects the ids of the tasks of which metrics were asked for and are not here; `wanted_events` does
    so with the events. What they could not be read for is told in their place.
    """

    def __init__(self, deps: Deps, identity: Identity) -> None:
        self.state: State = deps.replica.state
        self.cluster = FrozenCluster(deps)
        self.members = self.cluster.members()
        self.identity = identity
        self.now_s = deps.now_s()
        self.stats: dict[str, ContainerStats | None] = {}
        self.wanted_stats: dict[str, None] = {}
        self.events: dict[EventQuery, list[Told] | InvalidRequest] = {}
        self.wanted_events: dict[EventQuery, None] = {}
        self._deps = deps

    @cached_property
    def cluster_answer(self) -> ClusterAnswer | None:
        try:
            return cluster_answer(self.state, self._deps)
        except NotFound:
            return None
