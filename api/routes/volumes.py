"""Volumes: list, create, delete."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.route import Access, Kind, Listing, Need, Parameter, Route, Subject
from api.views.volume import VolumeItem, users_by_volume, volume_item
from consensus.commands import CreateVolume, DeleteVolume
from consensus.model.namespace import DEFAULT
from consensus.model.quantity import Memory
from consensus.model.volume import Volume
from consensus.model.workload import Name


class CreateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`node`: where a local or hostpath one shall be. The rest is for the types that have a use for it."""

    name: Name
    namespace: Name = DEFAULT
    size: Memory | None = None
    type: str = "local"
    labels: dict[str, str] = field(default_factory=dict)
    node: str | None = None
    path: str | None = None
    server: str | None = None
    filesystem: str | None = None
    mount_options: str | None = None
    without_quota: Literal["warn", "refuse"] = "warn"


class DeleteBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    force: bool = False


async def list_volumes(call: Call) -> Answer:
    state = call.state
    users = users_by_volume(state)
    return await call.listed(sorted(state.volumes), lambda name: volume_item(state.volumes[name], users.get(name, [])))


async def get_volume(call: Call) -> Answer:
    volume = call.named(call.state.volumes, "volume_name", "volume")
    return Answer(volume_item(volume, [task.id for task in call.state.volume_users(volume.name)]))


async def create(call: Call) -> Answer:
    body = await call.body(CreateBody)
    volume = Volume(
        name=body.name,
        namespace=body.namespace,
        type=body.type,
        size=body.size,
        labels=body.labels,
        created_at_s=call.now_s,
        node_id=body.node,
        path=body.path,
        server=body.server,
        filesystem=body.filesystem,
        mount_options=body.mount_options,
        without_quota=body.without_quota,
    )
    refuse_problems(volume.problems())
    if volume.type == "hostpath":
        # Whoever may mount any directory of a host owns that host.
        call.identity.authorise(Need(Access.ADMIN, "nodes:update"))
    await call.propose(CreateVolume(volume=volume))
    return Answer(Message(name=body.name, message="Volume created successfully"), status=201)


async def delete(call: Call) -> Answer:
    body = await call.body(DeleteBody)
    return await _delete(call, body.name, force=body.force)


async def delete_by_path(call: Call) -> Answer:
    return await _delete(call, call.path["volume_name"], force=call.query.boolean("force"))


async def _delete(call: Call, name: str, *, force: bool) -> Answer:
    await call.propose(DeleteVolume(name=name, force=force), about=("volumes", name))
    return Answer(Message(name=name, message="Volume deleted successfully"))


_VOLUME = Subject("volumes", "volume_name")
ROUTES = (
    Route(
        method="GET",
        path="/volumes",
        access=Access.VIEW,
        permission="volumes:read",
        handler=list_volumes,
        listing=Listing("volumes", VolumeItem),
    ),
    Route(
        method="GET",
        path="/volumes/{volume_name}",
        access=Access.VIEW,
        permission="volumes:read",
        handler=get_volume,
        answer=VolumeItem,
        subject=_VOLUME,
    ),
    Route(
        method="DELETE",
        path="/volumes/{volume_name}",
        access=Access.OPERATE,
        permission="volumes:delete",
        handler=delete_by_path,
        parameters=(Parameter("force", Kind.BOOLEAN, "also while containers use it"),),
        answer=Message,
        subject=_VOLUME,
    ),
    Route(
        method="POST",
        path="/volumes/create",
        access=Access.OPERATE,
        permission="volumes:create",
        handler=create,
        body=CreateBody,
        answer=Message,
        status=201,
    ),
    Route(
        method="POST",
        path="/volumes/delete",
        access=Access.OPERATE,
        permission="volumes:delete",
        handler=delete,
        body=DeleteBody,
        answer=Message,
    ),
)
