"""Roles of one's own: named sets of permissions, besides admin, operator and viewer."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import NotFound
from api.route import RESOURCES, ROLE_ACCESS, VERBS, Access, Listing, Route, Subject
from consensus.commands import CreateRole, DeleteRole, UpdateRole
from consensus.model.access import ANY, OwnRole, Permission
from consensus.state import State
from consensus.timestamp import iso_utc

RoleName = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", max_length=63)]
Permissions = Annotated[list[Permission], Meta(max_length=200)]
Description = Annotated[str, Meta(max_length=500)]
_BUILT_IN = {
    Access.VIEW: "everything may be looked at, but for users and the audit log",
    Access.OPERATE: "apps, services and volumes may be changed",
    Access.ADMIN: "everything",
}


class RoleBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: RoleName
    permissions: Permissions
    description: Description = ""


class RoleUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    permissions: Permissions
    description: Description = ""


class RoleItem(Struct, frozen=True, kw_only=True):
    """A built-in role's permissions follow from its level, so none are listed."""

    name: str
    description: str
    built_in: bool
    permissions: list[Permission]
    created_at: str | None


def _item(role: OwnRole) -> RoleItem:
    return RoleItem(
        name=role.name,
        description=role.description,
        built_in=False,
        permissions=role.permissions,
        created_at=iso_utc(role.created_at_s),
    )


def role_items(state: State) -> dict[str, RoleItem]:
    """All roles by name, the built-in ones first."""
    items = [
        RoleItem(name=role.value, description=_BUILT_IN[access], built_in=True, permissions=[], created_at=None)
        for role, access in ROLE_ACCESS.items()
    ]
    items += map(_item, sorted(state.roles.values(), key=lambda role: role.name))
    return {item.name: item for item in items}


def _problems(permissions: list[Permission]) -> list[tuple[str, str]]:
    problems = []
    for i, permission in enumerate(permissions):
        if permission.verb not in (ANY, *VERBS):
            problems.append((f"permissions[{i}].verb", f"expected one of *, {', '.join(VERBS)}"))
        if permission.resource not in (ANY, *RESOURCES):
            problems.append((f"permissions[{i}].resource", f"expected one of *, {', '.join(RESOURCES)}"))
        kind, _, name = permission.scope.partition("/")
        if permission.scope != ANY and not (kind in ("namespace", "tenant") and name):
            problems.append((f"permissions[{i}].scope", "expected *, namespace/<name> or tenant/<id>"))
    return problems


async def list_roles(call: Call) -> Answer:
    return await call.listed(list(role_items(call.state).values()), lambda item: item)


async def get_role(call: Call) -> Answer:
    name = call.path["role_name"]
    item = role_items(call.state).get(name)
    if item is None:
        raise NotFound(f"there is no role {name!r}")
    return Answer(item)


async def create_role(call: Call) -> Answer:
    body = await call.body(RoleBody)
    refuse_problems(_problems(body.permissions))
    role = OwnRole(name=body.name, permissions=body.permissions, description=body.description, created_at_s=call.now_s)
    await call.propose(CreateRole(role=role))
    return Answer(Message(name=body.name, message="Role created successfully"), status=201)


async def update_role(call: Call) -> Answer:
    name, body = call.path["role_name"], await call.body(RoleUpdate)
    refuse_problems(_problems(body.permissions))
    role = OwnRole(name=name, permissions=body.permissions, description=body.description, created_at_s=call.now_s)
    await call.propose(UpdateRole(role=role))
    return Answer(Message(name=name, message="Role updated successfully"))


async def delete_role(call: Call) -> Answer:
    name = call.path["role_name"]
    await call.propose(DeleteRole(name=name))
    return Answer(Message(name=name, message="Role deleted successfully"))


_ROLE = Subject("roles", "role_name")
ROUTES = (
    Route(
        method="GET",
        path="/roles",
        access=Access.ADMIN,
        permission="roles:read",
        handler=list_roles,
        listing=Listing("roles", RoleItem),
    ),
    Route(
        method="POST",
        path="/roles",
        access=Access.ADMIN,
        permission="roles:create",
        handler=create_role,
        body=RoleBody,
        answer=Message,
        status=201,
    ),
    Route(
        method="GET",
        path="/roles/{role_name}",
        access=Access.ADMIN,
        permission="roles:read",
        handler=get_role,
        answer=RoleItem,
        subject=_ROLE,
    ),
    Route(
        method="PUT",
        path="/roles/{role_name}",
        access=Access.ADMIN,
        permission="roles:update",
        handler=update_role,
        body=RoleUpdate,
        answer=Message,
        subject=_ROLE,
    ),
    Route(
        method="DELETE",
        path="/roles/{role_name}",
        access=Access.ADMIN,
        permission="roles:delete",
        handler=delete_role,
        answer=Message,
        subject=_ROLE,
    ),
)
