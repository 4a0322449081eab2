"""Volumes: list, create, delete."""

from __future__ import annotations

from msgspec import Struct, field

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import NotFound
from api.route import Access, Kind, Listing, Parameter, Route, Subject
from api.views.volume import VolumeItem, users_by_volume, volume_item
from consensus.commands import CreateVolume, DeleteVolume
from consensus.model.quantity import Memory, memory_bytes
from consensus.model.volume import Volume
from consensus.model.workload import Name

TYPES = ("local",)


class CreateBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    size: Memory | None = None
    type: str = "local"
    labels: dict[str, str] = field(default_factory=dict)


class DeleteBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    force: bool = False


async def list_volumes(call: Call) -> Answer:
    state = call.state
    users = users_by_volume(state)
    return await call.listed(sorted(state.volumes), lambda name: volume_item(state.volumes[name], users.get(name, [])))


async def get_volume(call: Call) -> Answer:
    name = call.path["volume_name"]
    volume = call.state.volumes.get(name)
    if volume is None:
        raise NotFound(f"there is no volume {name!r}")
    return Answer(volume_item(volume, [task.id for task in call.state.volume_users(name)]))


async def create(call: Call) -> Answer:
    body = await call.body(CreateBody)
    refuse_problems(_problems(body))
    volume = Volume(name=body.name, type=body.type, size=body.size, labels=body.labels, created_at_s=call.now_s)
    await call.propose(CreateVolume(volume=volume))
    return Answer(Message(name=body.name, message="Volume created successfully"), status=201)


def _problems(body: CreateBody) -> list[tuple[str, str]]:
    problems = []
    if body.type not in TYPES:
        problems.append(("type", f"expected {' or '.join(TYPES)}, the only kind there is, got {body.type!r}"))
    if body.size is not None:
        try:
            memory_bytes(body.size)
        except ValueError as error:
            problems.append(("size", str(error)))
    return problems


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
