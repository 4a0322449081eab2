"""The schema: the nouns with their REST filters as arguments, nested both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
)

from api import listing as lists
from api.graphql import nouns, wholes
from api.graphql.asking import Info, told, world_of
from api.graphql.nouns import NOUNS, Noun, Row
from api.graphql.types import Json, Long, Types
from api.graphql.world import World
from api.listing import fields_of
from api.query import Query
from api.routes.containers import StatsAnswer
from api.views.deployment import DeploymentProgress, RevisionItem, deployment_progress, revision_item
from consensus.state import State
from consensus.timestamp import iso_utc

LIST_ARGUMENTS = ("limit", "offset", "sort", "order")
_STATS = {
    "cpu_usage": "cpu_percent",
    "memory_usage": "memory_bytes",
    "memory_limit": "memory_limit_bytes",
    "network_rx": "network_rx_bytes",
    "network_tx": "network_tx_bytes",
    "block_read": "block_read_bytes",
    "block_write": "block_write_bytes",
}
Keys = Callable[[State, str], Iterable[str]]


def _arguments(noun: Noun) -> dict[str, GraphQLArgument]:
    """Those of the REST list: nested fields, which GraphQL cannot name, only by their documented filter."""
    names = {name for name, found in fields_of(noun.listing.item).items() if not found.open and "." not in name}
    return {
        **{name: GraphQLArgument(GraphQLString) for name in sorted({*names, *noun.listing.aliases})},
        "limit": GraphQLArgument(GraphQLInt),
        "offset": GraphQLArgument(GraphQLInt),
        "sort": GraphQLArgument(GraphQLString),
        "order": GraphQLArgument(GraphQLString),
    }


def _rows(world: World, noun: Noun, keys: Iterable[str], arguments: dict[str, Any]) -> list[Row]:
    """Raises GraphQLError."""
    with told():
        known = noun.within(world, keys)
        request = lists.read(
            Query((name, str(value)) for name, value in arguments.items() if value is not None), noun.listing
        )
    if request.as_they_come:
        chosen = known[request.offset : request.offset + request.limit]
        return [Row(world, noun, key, noun.item(world, key)) for key in chosen]
    # Items carry no key of their own, so sorting goes by identity.
    items = [(key, noun.item(world, key)) for key in known]
    keys_by_item = {id(item): key for key, item in items}
    ordered = lists.in_order([item for _, item in items if request.wants(item)], request)
    page = ordered[request.offset : request.offset + request.limit]
    return [Row(world, noun, keys_by_item[id(item)], item) for item in page]


def _row(world: World, noun: Noun, key: str) -> Row | None:
    """None: there is none. Raises GraphQLError."""
    with told():
        world.identity.authorise(noun.need)
        if not noun.exists(world.state, key) or not noun.shows(world, key):
            return None
        noun.require(world, key)
    return Row(world, noun, key, noun.item(world, key))


class _Builder:
    def __init__(self) -> None:
        self.types = Types()
        self.event = wholes.event_type()
        self.objects = {noun.name: GraphQLObjectType(noun.name, self._fields_of(noun)) for noun in NOUNS}

    def _fields_of(self, noun: Noun) -> Callable[[], dict[str, GraphQLField]]:
        def fields() -> dict[str, GraphQLField]:
            made = self.types.fields(noun.type, resolve=lambda name: lambda row, info: row.get(name))
            for name in noun.hidden:
                del made[name]
            for name, renamed in noun.strings.items():
                made[renamed] = made.pop(name)
            return made | self._links(noun)

        return fields

    def _links(self, noun: Noun) -> dict[str, GraphQLField]:
        """How a noun leads to the others."""
        if noun is nouns.CONTAINER:
            return {
                "app": self._one(nouns.APP, lambda state, key: [state.tasks[key].app]),
                "node": self._one(nouns.NODE, lambda state, key: [state.tasks[key].node_id or ""]),
                "service": self._one(nouns.SERVICE, _service_of_task),
                "metrics": GraphQLField(self._metrics_type(), resolve=_metrics),
            }
        if noun is nouns.APP:
            return {
                "containers": self._many(
                    nouns.CONTAINER, lambda state, key: [task.id for task in state.tasks_of_app(key)]
                ),
                "service": self._one(nouns.SERVICE, lambda state, key: [state.apps[key].service_name]),
                "history": GraphQLField(self.types.of(list[RevisionItem]), resolve=_history),
                "deployments": self._many(nouns.DEPLOYMENT, _deployments_of_app),
            }
        if noun is nouns.NODE:
            return {
                "name": GraphQLField(GraphQLNonNull(GraphQLString), resolve=lambda row, info: row.key),
                "containers": self._many(
                    nouns.CONTAINER, lambda state, key: sorted(task.id for task in state.tasks_on_node(key))
                ),
            }
        if noun is nouns.SERVICE:
            return {
                "apps": self._many(nouns.APP, _apps_of_service),
                "containers": self._many(
                    nouns.CONTAINER, lambda state, key: [task.id for task in state.tasks_of_service(key)]
                ),
            }
        if noun is nouns.VOLUME:
            return {
                "containers": self._many(
                    nouns.CONTAINER, lambda state, key: [task.id for task in state.volume_users(key)]
                ),
                "snapshots": self._many(nouns.VOLUME, _snapshots),
                "backup_schedules": self._many(nouns.BACKUP_SCHEDULE, _backup_schedules_of_volume),
            }
        if noun is nouns.BACKUP_SCHEDULE:
            return {"volume": self._one(nouns.VOLUME, lambda state, key: [state.backup_schedules[key].spec.volume])}
        if noun is nouns.JOB:
            return {"runs": self._many(nouns.RUN, lambda state, key: [run.id for run in state.runs_of(key)[::-1]])}
        if noun is nouns.RUN:
            return {
                "job": self._one(nouns.JOB, lambda state, key: [state.runs[key].owner]),
                "containers": self._many(
                    nouns.CONTAINER, lambda state, key: [task.id for task in state.tasks_of_run(state.runs[key])]
                ),
            }
        if noun is nouns.DEPLOYMENT:
            return {
                "app": self._one(nouns.APP, lambda state, key: [state.deployments[key].app]),
                "progress": GraphQLField(self.types.struct(DeploymentProgress), resolve=_progress),
            }
        return {}

    def _one(self, noun: Noun, keys: Keys) -> GraphQLField:
        def resolve(row: Row, info: Info) -> Row | None:
            world = world_of(info)
            (key,) = keys(world.state, row.key)
            return _row(world, noun, key)

        return GraphQLField(self.objects[noun.name], resolve=resolve)

    def _many(self, noun: Noun, keys: Keys) -> GraphQLField:
        def resolve(row: Row, info: Info, **arguments: Any) -> list[Row]:
            world = world_of(info)
            return _rows(world, noun, keys(world.state, row.key), arguments)

        return GraphQLField(self._list(noun), args=_arguments(noun), resolve=resolve)

    def _list(self, noun: Noun) -> GraphQLNonNull[Any]:
        return GraphQLNonNull(GraphQLList(GraphQLNonNull(self.objects[noun.name])))

    def _metrics_type(self) -> GraphQLObjectType:
        return self.types.struct(StatsAnswer)

    def query(self) -> GraphQLObjectType:
        fields = wholes.query_fields(self.types, self.event)
        for noun in NOUNS:
            fields[noun.plural] = GraphQLField(self._list(noun), args=_arguments(noun), resolve=_list_resolver(noun))
            fields[noun.single] = GraphQLField(
                self.objects[noun.name],
                args={"id": GraphQLArgument(GraphQLNonNull(GraphQLString), description="its id or name")},
                resolve=_single_resolver(noun),
            )
        return GraphQLObjectType("Query", fields)


def _list_resolver(noun: Noun) -> Callable[..., list[Row]]:
    def resolve(root: Any, info: Info, **arguments: Any) -> list[Row]:
        world = world_of(info)
        return _rows(world, noun, noun.keys(world.state), arguments)

    return resolve


def _single_resolver(noun: Noun) -> Callable[..., Row | None]:
    def resolve(root: Any, info: Info, *, id: str) -> Row | None:
        world = world_of(info)
        return _row(world, noun, id)

    return resolve


def _metrics(row: Row, info: Info) -> StatsAnswer | None:
    """null where the container does not run, or its node does not say."""
    world = world_of(info)
    if row.key not in world.stats:
        world.wanted_stats[row.key] = None
        return None
    stats = world.stats[row.key]
    if stats is None:
        return None
    values = {name: getattr(stats, origin) for name, origin in _STATS.items()}
    return StatsAnswer(**values, timestamp=iso_utc(stats.timestamp_s))


def _progress(row: Row, info: Info) -> DeploymentProgress:
    world = world_of(info)
    return deployment_progress(world.state, world.state.deployments[row.key], world.now_s)


def _history(row: Row, info: Info) -> list[RevisionItem]:
    state = world_of(info).state
    app = state.apps[row.key]
    return [revision_item(state, app, entry) for entry in app.history[::-1]]


def _snapshots(state: State, key: str) -> list[str]:
    return [name for name in sorted(state.volumes) if state.volumes[name].is_snapshot_of(key)]


def _service_of_task(state: State, key: str) -> list[str]:
    app = state.apps.get(state.tasks[key].app)
    return ["" if app is None else app.service_name]


def _apps_of_service(state: State, key: str) -> list[str]:
    return sorted(app.name for app in state.apps.values() if app.service_name == key)


def _backup_schedules_of_volume(state: State, name: str) -> list[str]:
    return sorted(key for key, schedule in state.backup_schedules.items() if schedule.spec.volume == name)


def _deployments_of_app(state: State, key: str) -> list[str]:
    return [i for i in nouns.DEPLOYMENT.keys(state) if state.deployments[i].app == key]


@cache
def schema() -> GraphQLSchema:
    """Made at the first query: graphql-core takes its time to import and to build."""
    builder = _Builder()
    return GraphQLSchema(builder.query(), subscription=wholes.subscription(builder.event), types=[Long, Json])
