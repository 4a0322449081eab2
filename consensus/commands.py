"""Commands: the entries of the replicated log.

Each says what was decided, never how to find it out: apply reads no clock, no random and no network, so that every
node gets the same state from the same entries. Encoded as msgpack maps with a type tag; new fields get defaults.
"""

from __future__ import annotations

from msgspec import Struct, field

from consensus.model.access import Group, OwnRole
from consensus.model.alert import Alert
from consensus.model.app import AppSpec
from consensus.model.audit import AuditNote
from consensus.model.cluster import Cluster
from consensus.model.deployment import Change, Move
from consensus.model.node import NodeFacts, NodeStatus, Taint
from consensus.model.priority import PriorityClass
from consensus.model.service import ServiceCheck
from consensus.model.strategy import Strategy
from consensus.model.task import TaskStatus
from consensus.model.user import ApiKey, User
from consensus.model.volume import Volume


class Command(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all commands; the tag is the class name."""


class FoundCluster(Command, frozen=True):
    """The first entry of every cluster."""

    cluster: Cluster
    admin: User


class RotateJoinSecret(Command, frozen=True):
    join_secret_hash: str
    join_secret_sealed: bytes


class RotateTokenKey(Command, frozen=True):
    """Tokens are signed with a new key from now on; those of the old one hold until `previous_until_s` (unix time)."""

    token_key_sealed: bytes
    previous_until_s: float


# -- nodes


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


class RemoveNode(Command, frozen=True):
    """Ends a membership for good; refused while the node has tasks, unless forced."""

    node_id: str
    force: bool = False


# -- apps and tasks


class DeployApp(Command, frozen=True):
    spec: AppSpec


class ScaleApp(Command, frozen=True):
    name: str
    replicas: int


class RestartApp(Command, frozen=True):
    name: str


class DeleteApp(Command, frozen=True):
    name: str


class Placement(Struct, frozen=True, omit_defaults=True):
    """A decision about one pending task: a node, or why there is none."""

    task_id: str
    node_id: str | None = None
    message: str = ""


class PlaceTasks(Command, frozen=True):
    placements: list[Placement]


class CreateTasks(Command, frozen=True):
    """New replicas, of the app's current generation, for slots that are free or whose replica is outdated.

    `revision` 0 is the app's own.
    """

    app: str
    slots: list[int]
    revision: int = 0


class RemoveTasks(Command, frozen=True):
    """These replicas are no longer wanted; their agents stop and remove them."""

    task_ids: list[str]


class RescheduleTasks(Command, frozen=True):
    """These replicas' node is lost: they are forgotten, and each slot gets a new one."""

    task_ids: list[str]


class TaskReport(Struct, frozen=True):
    task_id: str
    status: TaskStatus


class ReportTasks(Command, frozen=True):
    """A batch of what a node's agent saw. `removed` are tasks of which nothing is left on the node."""

    node_id: str
    reports: list[TaskReport] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


# -- deployments


class CreateDeployment(Command, frozen=True):
    """Records how an app shall change; with `execute` it begins at once. No strategy: the app's own, or rolling."""

    app: str
    change: Change
    strategy: Strategy | None = None
    execute: bool = False


class ExecuteDeployment(Command, frozen=True):
    deployment_id: str


class PromoteDeployment(Command, frozen=True):
    """By hand: on to the next step, also out of a pause. `variant` names the winner of an A/B test."""

    deployment_id: str
    variant: str | None = None


class RollbackDeployment(Command, frozen=True):
    deployment_id: str


class AdvanceDeployment(Command, frozen=True):
    """The leader's decision. Only at `version`, so that a decision on old news changes nothing."""

    deployment_id: str
    version: int
    move: Move
    message: str = ""
    winner: int = 0


class EndStandby(Command, frozen=True):
    """The set without traffic, if it still is of `revision`, is no longer kept."""

    app: str
    revision: int


class CreatePriorityClass(Command, frozen=True):
    priority_class: PriorityClass


class DeletePriorityClass(Command, frozen=True):
    name: str


# -- volumes


class CreateVolume(Command, frozen=True):
    volume: Volume


class DeleteVolume(Command, frozen=True):
    name: str
    force: bool = False


# -- services


class UpdateService(Command, frozen=True):
    """Replaces what is given."""

    name: str
    load_balancing_strategy: str | None = None
    health_check: ServiceCheck | None = None


# -- users and credentials


class CreateUser(Command, frozen=True):
    user: User


class UpdateUser(Command, frozen=True):
    """Replaces a user's password hash or role; tokens issued before stop being valid."""

    user_id: str
    password_hash: str | None = None
    role: str | None = None


class DeleteUser(Command, frozen=True):
    user_id: str


class CreateApiKey(Command, frozen=True):
    key: ApiKey


class DeleteApiKey(Command, frozen=True):
    key_id: str


class RevokeToken(Command, frozen=True):
    token_id: str
    expires_at_s: float


class CreateRole(Command, frozen=True):
    role: OwnRole


class UpdateRole(Command, frozen=True):
    """Replaces the role of that name, but for when it was created."""

    role: OwnRole


class DeleteRole(Command, frozen=True):
    """Refused while a user, a group or an API key has it."""

    name: str


class CreateGroup(Command, frozen=True):
    group: Group


class UpdateGroup(Command, frozen=True):
    """Replaces the group of that name, but for when it was created."""

    group: Group


class DeleteGroup(Command, frozen=True):
    name: str


class RecordAccess(Command, frozen=True):
    """What a node saw that changed nothing else: logins, requests that were denied, when API keys were used."""

    notes: list[AuditNote] = field(default_factory=list)
    key_uses: dict[str, float] = field(default_factory=dict)


# -- alerts


class RaiseAlert(Command, frozen=True):
    alert: Alert


class ResolveAlert(Command, frozen=True):
    alert_id: str


class AcknowledgeAlert(Command, frozen=True):
    """Somebody has seen it."""

    alert_id: str
    username: str


# -- several at once


class Batch(Command, frozen=True):
    """All of `commands`, in order, or none of them. Batches do not nest."""

    commands: list[AnyCommand]


AnyCommand = (
    FoundCluster
    | RotateJoinSecret
    | RotateTokenKey
    | AddNode
    | StartNode
    | SetNodeStatus
    | SetMaintenance
    | LabelNode
    | RemoveNode
    | DeployApp
    | ScaleApp
    | RestartApp
    | DeleteApp
    | PlaceTasks
    | CreateTasks
    | RemoveTasks
    | RescheduleTasks
    | ReportTasks
    | CreateDeployment
    | ExecuteDeployment
    | PromoteDeployment
    | RollbackDeployment
    | AdvanceDeployment
    | EndStandby
    | CreatePriorityClass
    | DeletePriorityClass
    | CreateVolume
    | DeleteVolume
    | UpdateService
    | CreateUser
    | UpdateUser
    | DeleteUser
    | CreateApiKey
    | DeleteApiKey
    | RevokeToken
    | CreateRole
    | UpdateRole
    | DeleteRole
    | CreateGroup
    | UpdateGroup
    | DeleteGroup
    | RecordAccess
    | RaiseAlert
    | ResolveAlert
    | AcknowledgeAlert
    | Batch
)
