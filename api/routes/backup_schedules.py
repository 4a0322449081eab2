"""Scheduled backups of volumes: their schedules, one by hand, and which there are."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import InternalError, InvalidRequest
from api.route import Access, Listing, Need, Parameter, Route, Subject
from api.routes.volume_data import reader_of
from api.views.backup import (
    BackupScheduleDetail,
    BackupScheduleItem,
    S3Body,
    ScheduleBody,
    backup_schedule_detail,
    backup_schedule_item,
)
from api.views.fields import same_fields
from api.volume_gateway import StoredBackup
from consensus.commands import CreateBackupSchedule, DeleteBackupSchedule, TriggerBackup, UpdateBackupSchedule
from consensus.model.backup import (
    BackupSchedule,
    BackupSpec,
    BackupTiming,
    DirectoryTarget,
    S3Place,
    S3Target,
    Target,
)
from consensus.outcomes import BackupStarted


class StoredItem(Struct, frozen=True):
    """`name` is what ``POST /volumes/{volume_name}/restore`` takes."""

    name: str
    bytes: int


class StartedAnswer(Struct, frozen=True):
    name: str
    number: int
    message: str


def _schedule(call: Call) -> BackupSchedule:
    return call.named(call.state.backup_schedules, "name", "backup schedule")


def _seal(call: Call) -> Callable[[bytes], bytes]:
    if call.deps.seal is None:
        raise InternalError("this node cannot seal secrets")
    return call.deps.seal


def _target(call: Call, given: DirectoryTarget | S3Body, known: BackupSpec | None) -> Target:
    if isinstance(given, DirectoryTarget):
        # Whoever may write to any directory of a host owns that host.
        call.identity.authorise(Need(Access.ADMIN, "nodes:update"))
        return given
    sealed = None
    if given.secret_access_key is not None:
        sealed = _seal(call)(given.secret_access_key.encode())
    elif known is not None and isinstance(known.target, S3Target) and known.target.access_key_id == given.access_key_id:
        sealed = known.target.secret_key_sealed
    return S3Target(**same_fields(S3Place, given), secret_key_sealed=sealed)


def _spec(call: Call, body: ScheduleBody, known: BackupSpec | None = None) -> BackupSpec:
    """Raises InvalidRequest, PermissionDenied."""
    passphrase = None if known is None else known.passphrase_sealed
    if body.passphrase is not None:
        passphrase = _seal(call)(body.passphrase.encode()) if body.passphrase else None
    spec = BackupSpec(
        **same_fields(BackupTiming, body),
        target=_target(call, body.target, known),
        passphrase_sealed=passphrase,
    )
    refuse_problems(spec.problems())
    return spec


async def list_schedules(call: Call) -> Answer:
    state = call.state
    known = state.backup_schedules
    return await call.listed(sorted(known), lambda name: backup_schedule_item(state, known[name]))


async def get_schedule(call: Call) -> Answer:
    return Answer(backup_schedule_detail(call.state, _schedule(call)))


async def create(call: Call) -> Answer:
    body = await call.body(ScheduleBody)
    await call.propose(CreateBackupSchedule(_spec(call, body)))
    return Answer(Message(name=body.name, message="Backup schedule created successfully"), status=201)


async def update(call: Call) -> Answer:
    """A whole new spec, for the backups that begin from now on."""
    known, body = _schedule(call), await call.body(ScheduleBody)
    if body.name != known.name:
        raise InvalidRequest(f"name: expected {known.name!r}, as in the path, got {body.name!r}")
    await call.propose(UpdateBackupSchedule(_spec(call, body, known.spec)))
    return Answer(Message(name=body.name, message="Backup schedule updated successfully"))


async def delete(call: Call) -> Answer:
    name = call.path["name"]
    await call.propose(DeleteBackupSchedule(name))
    return Answer(Message(name=name, message="Backup schedule deleted; the backups stay where they are"))


async def run(call: Call) -> Answer:
    name = call.path["name"]
    outcome = await call.propose(TriggerBackup(name))
    if not isinstance(outcome, BackupStarted):
        raise InternalError(f"a trigger was answered with {type(outcome).__name__}")
    return Answer(StartedAnswer(name, outcome.number, "Backup started successfully"), status=201)


async def list_backups(call: Call) -> Answer:
    schedule = _schedule(call)
    node_id = reader_of(call, call.state.volumes[schedule.spec.volume], call.query.text("node"))
    found = await call.deps.volumes.stored(node_id, schedule.name)
    return await call.listed(found, _stored_item)


def _stored_item(backup: StoredBackup) -> StoredItem:
    return StoredItem(backup.name, backup.size_bytes)


_SCHEDULE = Subject("backup_schedules", "name")
_PATH = "/backup-schedules"
ROUTES = (
    Route(
        method="GET",
        path=_PATH,
        access=Access.VIEW,
        permission="volumes:read",
        handler=list_schedules,
        listing=Listing("backup_schedules", BackupScheduleItem),
    ),
    Route(
        method="POST",
        path=_PATH,
        access=Access.OPERATE,
        permission="volumes:update",
        handler=create,
        body=ScheduleBody,
        answer=Message,
        status=201,
    ),
    Route(
        method="GET",
        path=_PATH + "/{name}",
        access=Access.VIEW,
        permission="volumes:read",
        handler=get_schedule,
        answer=BackupScheduleDetail,
        subject=_SCHEDULE,
    ),
    Route(
        method="PUT",
        path=_PATH + "/{name}",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=update,
        body=ScheduleBody,
        answer=Message,
        subject=_SCHEDULE,
    ),
    Route(
        method="DELETE",
        path=_PATH + "/{name}",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=delete,
        answer=Message,
        subject=_SCHEDULE,
    ),
    Route(
        method="POST",
        path=_PATH + "/{name}/run",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=run,
        answer=StartedAnswer,
        status=201,
        subject=_SCHEDULE,
    ),
    Route(
        method="GET",
        path=_PATH + "/{name}/backups",
        access=Access.VIEW,
        permission="volumes:read",
        handler=list_backups,
        parameters=(Parameter("node", description="who looks, where the volume's own node is gone"),),
        listing=Listing("backups", StoredItem),
        owner=_SCHEDULE,
    ),
)
