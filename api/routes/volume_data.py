"""The data of local volumes: usage, backup and restore through any node, copies, snapshots, moving.

What replaces a volume's data needs a volume that no container mounts. What brings data to a node tells it `arrived` at
the end, whether the cluster then has the volume there or not.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import structlog
from msgspec import Struct, field

from api.answer import Answer, Stream
from api.byte_body import ByteBody
from api.call import Call
from api.errors import Conflict, InvalidRequest
from api.events.closing import Closing
from api.route import Access, Listing, Parameter, Route, Subject
from api.views.volume import VolumeItem, users_by_volume, volume_item
from api.volume_gateway import VolumeContents, VolumeUnavailable
from consensus.commands import BindVolume, CreateVolume
from consensus.model.node import NodeStatus
from consensus.model.volume import Volume
from consensus.model.workload import Name
from consensus.timestamp import iso_utc

log = structlog.get_logger()

MEDIA_TYPES = {"zstd": "application/zstd", "gzip": "application/gzip"}


class UsageAnswer(Struct, frozen=True, kw_only=True):
    """`bytes` of its files; `limit` is its size, where it has one."""

    name: str
    node_id: str
    bytes: int
    files: int
    limit: int | None
    timestamp: str


class CopyBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    labels: dict[str, str] = field(default_factory=dict)


class RollbackBody(Struct, frozen=True, forbid_unknown_fields=True):
    snapshot: str


class RestoreBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Without `backup` it is the newest that `schedule` made. `node`: as for an archive that is sent."""

    schedule: str
    backup: str | None = None
    node: str | None = None


class MoveBody(Struct, frozen=True, forbid_unknown_fields=True):
    node: str


class DataAnswer(Struct, frozen=True, kw_only=True):
    name: str
    node_id: str
    bytes: int
    files: int
    message: str


class _Archive(ByteBody[bytes]):
    """A volume's archive; it breaks off where the node stops."""

    def __init__(self, pieces: AbstractAsyncContextManager[AsyncIterator[bytes]], closing: Closing) -> None:
        super().__init__(pieces, bytes)
        self._closing = closing

    async def __anext__(self) -> bytes:
        with self._closing.wait_scope(math.inf):
            return await super().__anext__()
        raise ConnectionAbortedError("the node stops")


def _find(call: Call) -> Volume:
    """Raises NotFound, Conflict."""
    volume = call.named(call.state.volumes, "volume_name", "volume")
    if volume.type != "local":
        kept = "only the data of local ones is kept by the cluster"
        raise Conflict(f"volume {volume.name!r} is of type {volume.type}: {kept}")
    return volume


def _home(volume: Volume) -> str:
    """Raises Conflict."""
    if volume.node_id is None:
        raise Conflict(f"volume {volume.name!r} has no data yet: no container has mounted it")
    return volume.node_id


def _refuse_users(call: Call, name: str) -> None:
    users = call.state.volume_users(name)
    if users:
        told = ", ".join(task.id for task in users[:5])
        raise Conflict(f"volume {name!r} is used by {told}: scale its apps to 0 first")


@asynccontextmanager
async def _arriving(call: Call, node_id: str, name: str) -> AsyncIterator[None]:
    try:
        yield
    finally:
        try:
            await call.deps.volumes.arrived(node_id, name)
        except VolumeUnavailable as error:
            # What was done is done, or not; the node finds out by itself when its daemon starts again.
            log.warning("volume_arrival_not_told", volume=name, node=node_id, reason=str(error))


async def usage(call: Call) -> Answer:
    volume = _find(call)
    node_id = _home(volume)
    found = await call.deps.volumes.usage(node_id, volume.name)
    return Answer(
        UsageAnswer(
            name=volume.name,
            node_id=node_id,
            bytes=found.size_bytes,
            files=found.files,
            limit=volume.size_bytes,
            timestamp=iso_utc(call.now_s),
        )
    )


async def backup(call: Call) -> Stream:
    volume = _find(call)
    compression = call.query.text("compression") or "zstd"
    if compression not in MEDIA_TYPES:
        raise InvalidRequest(f"parameter 'compression': expected gzip or zstd, got {compression[:20]!r}")
    pieces = call.deps.volumes.backup(_home(volume), volume.name, compression)
    return Stream(_Archive(pieces, call.services.closing), MEDIA_TYPES[compression])


async def restore(call: Call) -> Answer:
    volume = _find(call)
    _refuse_users(call, volume.name)
    node_id = reader_of(call, volume, call.query.text("node"))
    fill = partial(call.deps.volumes.restore, node_id, volume.name, call.pieces)
    return await _restored(call, volume, node_id, fill, "Volume restored successfully")


async def restore_stored(call: Call) -> Answer:
    volume, body = _find(call), await call.body(RestoreBody)
    schedule = call.state.backup_schedules.get(body.schedule)
    if schedule is None:
        raise InvalidRequest(f"schedule: there is no backup schedule {body.schedule!r}")
    call.require(call.state.volumes[schedule.spec.volume].namespace)
    _refuse_users(call, volume.name)
    node_id, backup = reader_of(call, volume, body.node), body.backup
    if backup is None:
        stored = await call.deps.volumes.stored(node_id, body.schedule)
        if not stored:
            raise Conflict(f"schedule {body.schedule!r} has no backup that node {node_id} can see")
        backup = stored[0].name
    fill = partial(call.deps.volumes.restore_stored, node_id, body.schedule, backup, volume.name)
    return await _restored(call, volume, node_id, fill, f"Volume restored from {backup}")


async def _restored(
    call: Call, volume: Volume, node_id: str, fill: Callable[[], Awaitable[VolumeContents]], message: str
) -> Answer:
    async with _arriving(call, node_id, volume.name):
        done = await fill()
        if volume.node_id != node_id:
            await call.propose(BindVolume(name=volume.name, expected=volume.node_id, node_id=node_id))
    return _done(call, volume.name, node_id, done, message)


def reader_of(call: Call, volume: Volume, asked: str | None) -> str:
    """The node that has the volume; if that is gone, or none has it yet, the one that was asked for; else this one.

    Raises InvalidRequest, Conflict.
    """
    nodes = call.state.nodes
    if asked is not None and asked not in nodes:
        raise InvalidRequest(f"node: there is no node {asked!r}")
    home = None if volume.node_id is None else nodes.get(volume.node_id)
    if home is None or home.status in (NodeStatus.LOST, NodeStatus.LEFT):
        return asked or call.deps.cluster.node_id
    if asked is not None and asked != home.id:
        raise Conflict(f"volume {volume.name!r} is on node {home.id}: move it there")
    return home.id


async def clone(call: Call) -> Answer:
    source, body = _find(call), await call.body(CopyBody)
    return await _copied(call, source, body, snapshot=False)


async def take_snapshot(call: Call) -> Answer:
    source, body = _find(call), await call.body(CopyBody)
    if source.snapshot:
        raise Conflict(f"volume {source.name!r} is a snapshot already")
    return await _copied(call, source, body, snapshot=True)


async def _copied(call: Call, source: Volume, body: CopyBody, *, snapshot: bool) -> Answer:
    node_id = _home(source)
    if body.name in call.state.volumes:
        raise Conflict(f"volume {body.name!r} exists already")
    copy = Volume(
        name=body.name,
        namespace=source.namespace,
        size=source.size,
        without_quota=source.without_quota,
        labels=body.labels,
        created_at_s=call.now_s,
        node_id=node_id,
        cloned_from=source.name,
        snapshot=snapshot,
    )
    async with _arriving(call, node_id, body.name):
        done = await call.deps.volumes.copy(node_id, source.name, body.name)
        await call.propose(CreateVolume(volume=copy))
    noun = "Snapshot" if snapshot else "Volume"
    return _done(call, body.name, node_id, done, f"{noun} of {source.name} created successfully", status=201)


async def list_snapshots(call: Call) -> Answer:
    volume, state = _find(call), call.state
    users = users_by_volume(state)
    found = [v for v in state.volumes.values() if v.is_snapshot_of(volume.name)]
    found.sort(key=lambda v: (v.created_at_s, v.name))
    return await call.listed(found, lambda v: volume_item(v, users.get(v.name, [])))


async def roll_back(call: Call) -> Answer:
    volume, body = _find(call), await call.body(RollbackBody)
    snapshot = call.state.volumes.get(body.snapshot)
    if snapshot is None or not snapshot.is_snapshot_of(volume.name):
        raise InvalidRequest(f"snapshot: expected a snapshot of {volume.name!r}, got {body.snapshot!r}")
    _refuse_users(call, volume.name)
    node_id = _home(volume)
    if snapshot.node_id != node_id:
        raise Conflict(f"snapshot {snapshot.name!r} is on node {snapshot.node_id}, the volume on {node_id}")
    async with _arriving(call, node_id, volume.name):
        done = await call.deps.volumes.copy(node_id, snapshot.name, volume.name)
    return _done(call, volume.name, node_id, done, f"Volume is as in {snapshot.name}")


async def move(call: Call) -> Answer:
    volume, body = _find(call), await call.body(MoveBody)
    source = _home(volume)
    node = call.state.nodes.get(body.node)
    if node is None or node.status is not NodeStatus.READY:
        raise InvalidRequest(f"node: expected a node that is ready, got {body.node!r}")
    if node.id == source:
        raise Conflict(f"volume {volume.name!r} is on node {source} already")
    _refuse_users(call, volume.name)
    async with _arriving(call, node.id, volume.name):
        done = await call.deps.volumes.move(volume.name, source=source, target=node.id)
        await call.propose(BindVolume(name=volume.name, expected=source, node_id=node.id))
    return _done(call, volume.name, node.id, done, f"Volume moved from {source}")


def _done(call: Call, name: str, node_id: str, contents: VolumeContents, message: str, *, status: int = 200) -> Answer:
    call.note(message)
    answer = DataAnswer(name=name, node_id=node_id, bytes=contents.size_bytes, files=contents.files, message=message)
    return Answer(answer, status=status)


_VOLUME = Subject("volumes", "volume_name")
_COMPRESSION = Parameter("compression", description="zstd (default) or gzip")
_NODE = Parameter("node", description="where a volume that has no data, or whose node is gone, shall be")
ROUTES = (
    Route(
        method="GET",
        path="/volumes/{volume_name}/usage",
        access=Access.VIEW,
        permission="volumes:read",
        handler=usage,
        owner=_VOLUME,
        answer=UsageAnswer,
    ),
    Route(
        method="GET",
        path="/volumes/{volume_name}/backup",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=backup,
        owner=_VOLUME,
        parameters=(_COMPRESSION,),
        media_type=MEDIA_TYPES["zstd"],
        batchable=False,
    ),
    Route(
        method="PUT",
        path="/volumes/{volume_name}/restore",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=restore,
        owner=_VOLUME,
        parameters=(_NODE,),
        upload=True,
        answer=DataAnswer,
        batchable=False,
        replicated=False,
    ),
    Route(
        method="POST",
        path="/volumes/{volume_name}/restore",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=restore_stored,
        body=RestoreBody,
        answer=DataAnswer,
        owner=_VOLUME,
        replicated=False,
    ),
    Route(
        method="POST",
        path="/volumes/{volume_name}/clone",
        access=Access.OPERATE,
        permission="volumes:create",
        handler=clone,
        owner=_VOLUME,
        body=CopyBody,
        answer=DataAnswer,
        status=201,
        replicated=False,
    ),
    Route(
        method="GET",
        path="/volumes/{volume_name}/snapshots",
        access=Access.VIEW,
        permission="volumes:read",
        handler=list_snapshots,
        owner=_VOLUME,
        listing=Listing("snapshots", VolumeItem),
    ),
    Route(
        method="POST",
        path="/volumes/{volume_name}/snapshots",
        access=Access.OPERATE,
        permission="volumes:create",
        handler=take_snapshot,
        owner=_VOLUME,
        body=CopyBody,
        answer=DataAnswer,
        status=201,
        replicated=False,
    ),
    Route(
        method="POST",
        path="/volumes/{volume_name}/rollback",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=roll_back,
        owner=_VOLUME,
        body=RollbackBody,
        answer=DataAnswer,
        replicated=False,
    ),
    Route(
        method="POST",
        path="/volumes/{volume_name}/move",
        access=Access.OPERATE,
        permission="volumes:update",
        handler=move,
        owner=_VOLUME,
        body=MoveBody,
        answer=DataAnswer,
        replicated=False,
    ),
)
