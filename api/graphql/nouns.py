"""The nouns of the schema: where their rows are, how they are shown, and which permission they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from api.graphql.world import World
from api.route import Access, Listing, Need
from api.routes.alerts import AlertItem, alert_item
from api.routes.audit import AuditItem, audit_item
from api.routes.auth import KeyItem, key_item, may_see_key
from api.routes.config import SettingItem, setting_item
from api.routes.groups import GroupItem, group_item
from api.routes.priority_classes import PriorityClassItem, by_value, class_item
from api.routes.roles import RoleItem, role_items
from api.routes.users import UserItem, user_item
from api.views.app import AppDetail, AppItem, app_detail, app_item
from api.views.backup import (
    BackupScheduleDetail,
    BackupScheduleItem,
    backup_schedule_detail,
    backup_schedule_item,
)
from api.views.container import ContainerDetail, ContainerItem, container_detail, container_item, in_order
from api.views.deployment import DeploymentDetail, DeploymentItem, deployment_detail, deployment_item
from api.views.job import JobDetail, JobItem, RunDetail, RunItem, job_detail, job_item, run_detail, run_item
from api.views.network_policy import NetworkPolicyItem, network_policy_item
from api.views.node import SEE_CONTAINERS, NodeDetail, NodeItem, node_detail, node_item
from api.views.service import ServiceDetail, ServiceItem, service_detail, service_item
from api.views.volume import VolumeItem, volume_item
from consensus.model.setting import kinds
from consensus.namespaces import namespace_of
from consensus.state import State

Show = Callable[[World, str], Any]


class Noun(Struct, frozen=True, kw_only=True):
    """`keys` are in the order of lists; `item` and `detail` show the row of a key.

    `table` of the State holds the rows, or `has` says whether there is one. `strings` renames the detail's fields that
    other nouns stand in for: ``app`` is an App here, its name `app_name`. `visible`: whether the client may see a row,
    where that does not follow from its namespace.
    """

    name: str
    plural: str
    permission: str
    table: str = ""
    has: Callable[[State, str], bool] | None = None
    keys: Callable[[State], Iterable[str]]
    item: Show
    detail: Show
    listing: Listing
    type: type[Struct]
    strings: Mapping[str, str] = {}
    hidden: frozenset[str] = frozenset()
    visible: Callable[[World, str], bool] | None = None
    access: Access = Access.VIEW

    @property
    def need(self) -> Need:
        return Need(self.access, self.permission)

    @property
    def single(self) -> str:
        """The field of one of them: ``audit_record`` for an AuditRecord."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower()

    def exists(self, state: State, key: str) -> bool:
        return self.has(state, key) if self.has is not None else key in getattr(state, self.table)

    def within(self, world: World, keys: Iterable[str]) -> list[str]:
        """Those of `keys` that the client may see. Raises PermissionDenied where that can be none."""
        reach = world.identity.authorise(self.need)
        if reach.everywhere:
            return [key for key in keys if self.shows(world, key)]
        return [key for key in keys if reach.holds(namespace_of(world.state, self.table, key))]

    def shows(self, world: World, key: str) -> bool:
        return self.visible is None or self.visible(world, key)

    def require(self, world: World, key: str) -> None:
        """Raises PermissionDenied where the client may not see the row of `key`."""
        if not world.identity.reach(self.need).everywhere:
            world.identity.authorise_in(self.need, namespace_of(world.state, self.table, key))


class Row:
    """One row of a noun. Its detail is made only where a field asks for it."""

    __slots__ = ("_detail", "item", "key", "noun", "world")

    def __init__(self, world: World, noun: Noun, key: str, item: Any) -> None:
        self.world, self.noun, self.key, self.item = world, noun, key, item
        self._detail: Any = None

    def get(self, name: str) -> Any:
        if hasattr(self.item, name) and name not in _BETTER_IN_DETAIL:
            return getattr(self.item, name)
        if self._detail is None:
            self._detail = self.noun.detail(self.world, self.key)
        return getattr(self._detail, name)


_BETTER_IN_DETAIL = frozenset({"endpoints", "strategy"})
"""The same name in item and detail, but the detail says more."""


def _volume(world: World, name: str) -> VolumeItem:
    users = [task.id for task in world.state.volume_users(name)]
    return volume_item(world.state.volumes[name], users)


CONTAINER = Noun(
    name="Container",
    plural="containers",
    permission="containers:read",
    table="tasks",
    keys=lambda state: [task.id for task in in_order(state)],
    item=lambda world, key: container_item(world.state, world.state.tasks[key]),
    detail=lambda world, key: container_detail(world.state, world.state.tasks[key], last_check_s=None),
    listing=Listing("containers", ContainerItem, {"node": "node_id", "health": "health.status"}),
    type=ContainerDetail,
    strings={"app": "app_name"},
)
APP = Noun(
    name="App",
    plural="apps",
    permission="apps:read",
    table="apps",
    keys=lambda state: sorted(state.apps),
    item=lambda world, key: app_item(world.state, world.state.apps[key]),
    detail=lambda world, key: app_detail(world.state, world.state.apps[key], world.now_s),
    listing=Listing("apps", AppItem),
    type=AppDetail,
    strings={"service": "service_name"},
    hidden=frozenset({"containers"}),
)
NODE = Noun(
    name="Node",
    plural="nodes",
    permission="nodes:read",
    table="nodes",
    keys=lambda state: sorted(state.nodes),
    item=lambda world, key: node_item(world.state, world.cluster, world.members, world.state.nodes[key]),
    detail=lambda world, key: node_detail(
        world.state, world.cluster, world.state.nodes[key], reach=world.identity.reach(SEE_CONTAINERS)
    ),
    listing=Listing("nodes", NodeItem),
    type=NodeDetail,
    hidden=frozenset({"containers"}),
)
SERVICE = Noun(
    name="Service",
    plural="services",
    permission="services:read",
    table="services",
    keys=lambda state: sorted(state.services),
    item=lambda world, key: service_item(world.state, world.state.services[key]),
    detail=lambda world, key: service_detail(world.state, world.state.services[key]),
    listing=Listing("services", ServiceItem),
    type=ServiceDetail,
    hidden=frozenset({"apps"}),
)
NETWORK_POLICY = Noun(
    name="NetworkPolicy",
    plural="network_policies",
    permission="network-policies:read",
    table="network_policies",
    keys=lambda state: sorted(state.network_policies),
    item=lambda world, key: network_policy_item(world.state, world.state.network_policies[key]),
    detail=lambda world, key: network_policy_item(world.state, world.state.network_policies[key]),
    listing=Listing("policies", NetworkPolicyItem),
    type=NetworkPolicyItem,
)
VOLUME = Noun(
    name="Volume",
    plural="volumes",
    permission="volumes:read",
    table="volumes",
    keys=lambda state: sorted(state.volumes),
    item=_volume,
    detail=_volume,
    listing=Listing("volumes", VolumeItem),
    type=VolumeItem,
)
BACKUP_SCHEDULE = Noun(
    name="BackupSchedule",
    plural="backup_schedules",
    permission="volumes:read",
    table="backup_schedules",
    keys=lambda state: sorted(state.backup_schedules),
    item=lambda world, key: backup_schedule_item(world.state, world.state.backup_schedules[key]),
    detail=lambda world, key: backup_schedule_detail(world.state, world.state.backup_schedules[key]),
    listing=Listing("backup_schedules", BackupScheduleItem),
    type=BackupScheduleDetail,
    strings={"volume": "volume_name"},
    hidden=frozenset({"spec"}),
)
DEPLOYMENT = Noun(
    name="Deployment",
    plural="deployments",
    permission="deployments:read",
    table="deployments",
    keys=lambda state: sorted(state.deployments, key=lambda i: (-state.deployments[i].created_at_s, i)),
    item=lambda world, key: deployment_item(world.state, world.state.deployments[key], world.now_s),
    detail=lambda world, key: deployment_detail(world.state, world.state.deployments[key], world.now_s),
    listing=Listing("deployments", DeploymentItem),
    type=DeploymentDetail,
)
JOB = Noun(
    name="Job",
    plural="jobs",
    permission="jobs:read",
    table="jobs",
    keys=lambda state: sorted(state.jobs),
    item=lambda world, key: job_item(world.state, world.state.jobs[key]),
    detail=lambda world, key: job_detail(world.state, world.state.jobs[key]),
    listing=Listing("jobs", JobItem),
    type=JobDetail,
    hidden=frozenset({"spec"}),
)
RUN = Noun(
    name="Run",
    plural="runs",
    permission="jobs:read",
    table="runs",
    keys=lambda state: sorted(state.runs, key=lambda i: (-state.runs[i].created_at_s, i)),
    item=lambda world, key: run_item(world.state, world.state.runs[key]),
    detail=lambda world, key: run_detail(world.state, world.state.runs[key]),
    listing=Listing("runs", RunItem),
    type=RunDetail,
    strings={"job": "job_name"},
    hidden=frozenset({"containers"}),
)
ALERT = Noun(
    name="Alert",
    plural="alerts",
    permission="alerts:read",
    table="alerts",
    keys=lambda state: sorted(state.alerts, key=lambda i: (-state.alerts[i].created_at_s, i)),
    item=lambda world, key: alert_item(world.state, world.state.alerts[key]),
    detail=lambda world, key: alert_item(world.state, world.state.alerts[key]),
    listing=Listing("alerts", AlertItem),
    type=AlertItem,
)
USER = Noun(
    name="User",
    plural="users",
    permission="users:read",
    table="users",
    keys=lambda state: sorted(state.users),
    item=lambda world, key: user_item(world.state, world.state.users[key]),
    detail=lambda world, key: user_item(world.state, world.state.users[key]),
    listing=Listing("users", UserItem),
    type=UserItem,
    access=Access.ADMIN,
)
PRIORITY_CLASS = Noun(
    name="PriorityClass",
    plural="priority_classes",
    permission="cluster:read",
    has=lambda state, key: key in state.all_priority_classes(),
    keys=lambda state: [known.name for known in by_value(state)],
    item=lambda world, key: class_item(world.state.all_priority_classes()[key]),
    detail=lambda world, key: class_item(world.state.all_priority_classes()[key]),
    listing=Listing("priority_classes", PriorityClassItem),
    type=PriorityClassItem,
)
ROLE = Noun(
    name="Role",
    plural="roles",
    permission="roles:read",
    has=lambda state, key: key in role_items(state),
    keys=role_items,
    item=lambda world, key: role_items(world.state)[key],
    detail=lambda world, key: role_items(world.state)[key],
    listing=Listing("roles", RoleItem),
    type=RoleItem,
    access=Access.ADMIN,
)
GROUP = Noun(
    name="Group",
    plural="groups",
    permission="groups:read",
    table="groups",
    keys=lambda state: sorted(state.groups),
    item=lambda world, key: group_item(world.state.groups[key]),
    detail=lambda world, key: group_item(world.state.groups[key]),
    listing=Listing("groups", GroupItem),
    type=GroupItem,
    access=Access.ADMIN,
)
AUDIT_RECORD = Noun(
    name="AuditRecord",
    plural="audit",
    permission="audit:read",
    has=lambda state, key: key.isdecimal() and int(key) in state.audit,
    keys=lambda state: map(str, sorted(state.audit, reverse=True)),
    item=lambda world, key: audit_item(world.state.audit[int(key)]),
    detail=lambda world, key: audit_item(world.state.audit[int(key)]),
    listing=Listing("records", AuditItem, {"user": "user_id"}),
    type=AuditItem,
    access=Access.ADMIN,
)
API_KEY = Noun(
    name="ApiKey",
    plural="api_keys",
    permission="",
    table="api_keys",
    keys=lambda state: sorted(state.api_keys, key=lambda i: (state.api_keys[i].name, i)),
    item=lambda world, key: key_item(world.state.api_keys[key]),
    detail=lambda world, key: key_item(world.state.api_keys[key]),
    listing=Listing("api_keys", KeyItem),
    type=KeyItem,
    visible=lambda world, key: may_see_key(world.identity, world.state.api_keys[key]),
    access=Access.SELF,
)
SETTING = Noun(
    name="Setting",
    plural="settings",
    permission="cluster:read",
    has=lambda state, key: key in kinds(),
    keys=lambda state: list(kinds()),
    item=lambda world, key: setting_item(world.state, kinds()[key]),
    detail=lambda world, key: setting_item(world.state, kinds()[key]),
    listing=Listing("settings", SettingItem),
    type=SettingItem,
)
NOUNS = (
    *(CONTAINER, APP, NODE, SERVICE, NETWORK_POLICY, VOLUME, BACKUP_SCHEDULE, DEPLOYMENT, JOB, RUN),
    *(PRIORITY_CLASS, ALERT, USER, ROLE, GROUP, AUDIT_RECORD, API_KEY, SETTING),
)
