"""Groups of users, who have the group's roles besides their own."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from api.answer import Answer, Message
from api.call import Call
from api.route import Access, Listing, Route, Subject
from api.routes.roles import RoleName
from consensus.commands import CreateGroup, DeleteGroup, UpdateGroup
from consensus.model.access import Group
from consensus.timestamp import iso_utc

Names = Annotated[list[str], Meta(max_length=1000)]


class GroupBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`members` are user ids."""

    name: RoleName
    roles: Names = field(default_factory=list)
    members: Names = field(default_factory=list)


class GroupUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    roles: Names
    members: Names


class GroupItem(Struct, frozen=True, kw_only=True):
    name: str
    roles: list[str]
    members: list[str]
    created_at: str


def group_item(group: Group) -> GroupItem:
    return GroupItem(name=group.name, roles=group.roles, members=group.members, created_at=iso_utc(group.created_at_s))


async def list_groups(call: Call) -> Answer:
    return await call.listed(sorted(call.state.groups.values(), key=lambda group: group.name), group_item)


async def get_group(call: Call) -> Answer:
    return Answer(group_item(call.named(call.state.groups, "group_name", "group")))


async def create_group(call: Call) -> Answer:
    body = await call.body(GroupBody)
    group = Group(name=body.name, roles=body.roles, members=body.members, created_at_s=call.now_s)
    await call.propose(CreateGroup(group=group))
    return Answer(Message(name=body.name, message="Group created successfully"), status=201)


async def update_group(call: Call) -> Answer:
    name, body = call.path["group_name"], await call.body(GroupUpdate)
    group = Group(name=name, roles=body.roles, members=body.members, created_at_s=call.now_s)
    await call.propose(UpdateGroup(group=group))
    return Answer(Message(name=name, message="Group updated successfully"))


async def delete_group(call: Call) -> Answer:
    name = call.path["group_name"]
    await call.propose(DeleteGroup(name=name))
    return Answer(Message(name=name, message="Group deleted successfully"))


_GROUP = Subject("groups", "group_name")
ROUTES = (
    Route(
        method="GET",
        path="/groups",
        access=Access.ADMIN,
        permission="groups:read",
        handler=list_groups,
        listing=Listing("groups", GroupItem),
    ),
    Route(
        method="POST",
        path="/groups",
        access=Access.ADMIN,
        permission="groups:create",
        handler=create_group,
        body=GroupBody,
        answer=Message,
        status=201,
    ),
    Route(
        method="GET",
        path="/groups/{group_name}",
        access=Access.ADMIN,
        permission="groups:read",
        handler=get_group,
        answer=GroupItem,
        subject=_GROUP,
    ),
    Route(
        method="PUT",
        path="/groups/{group_name}",
        access=Access.ADMIN,
        permission="groups:update",
        handler=update_group,
        body=GroupUpdate,
        answer=Message,
        subject=_GROUP,
    ),
    Route(
        method="DELETE",
        path="/groups/{group_name}",
        access=Access.ADMIN,
        permission="groups:delete",
        handler=delete_group,
        answer=Message,
        subject=_GROUP,
    ),
)
