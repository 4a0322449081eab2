"""Users and their roles. Everybody may change the own password; the rest is for admins."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from api.answer import Answer, Message
from api.call import Call
from api.errors import PermissionDenied
from api.route import Access, Listing, Need, Route, Subject
from consensus.commands import CreateUser, DeleteUser, UpdateUser
from consensus.model.user import Role, User
from consensus.state import State
from consensus.timestamp import iso_utc

_UPDATE = Need(Access.ADMIN, "users:update")
Username = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$")]
Password = Annotated[str, Meta(min_length=8, max_length=256)]


class UserBody(Struct, frozen=True, forbid_unknown_fields=True):
    username: Username
    password: Password
    role: str = Role.VIEWER


class PasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`current_password` is needed where users change their own."""

    password: Password
    current_password: str | None = None


class RoleBody(Struct, frozen=True, forbid_unknown_fields=True):
    role: str


class UserItem(Struct, frozen=True, kw_only=True):
    id: str
    username: str
    role: str
    groups: list[str]
    created_at: str


def user_item(state: State, user: User) -> UserItem:
    return UserItem(
        id=user.id,
        username=user.username,
        role=user.role,
        groups=sorted(group.name for group in state.groups.values() if user.id in group.members),
        created_at=iso_utc(user.created_at_s),
    )


def _find(call: Call) -> User:
    return call.named(call.state.users, "user_id", "user")


async def list_users(call: Call) -> Answer:
    state = call.state
    users = sorted(state.users.values(), key=lambda user: user.username)
    return await call.listed(users, lambda user: user_item(state, user))


async def get_user(call: Call) -> Answer:
    return Answer(user_item(call.state, _find(call)))


async def create_user(call: Call) -> Answer:
    body = await call.body(UserBody)
    user = User(
        id=body.username,
        username=body.username,
        password_hash=await call.deps.passwords.hash(body.password),
        role=body.role,
        created_at_s=call.now_s,
    )
    await call.propose(CreateUser(user=user))
    return Answer(Message(id=user.id, name=user.username, message="User created successfully"), status=201)


async def delete_user(call: Call) -> Answer:
    user_id = call.path["user_id"]
    await call.propose(DeleteUser(user_id=user_id))
    return Answer(Message(id=user_id, message="User deleted successfully"))


async def set_password(call: Call) -> Answer:
    identity, user_id = call.identity, call.path["user_id"]
    body = await call.body(PasswordBody)
    if user_id != identity.user_id:
        identity.authorise(_UPDATE)
    elif body.current_password is None or not await call.deps.passwords.verify(
        _find(call).password_hash, body.current_password
    ):
        raise PermissionDenied("current_password: expected your password of now")
    user = _find(call)
    await call.propose(UpdateUser(user_id=user.id, password_hash=await call.deps.passwords.hash(body.password)))
    return Answer(Message(id=user.id, message="Password changed successfully; tokens issued before are not valid now"))


async def set_role(call: Call) -> Answer:
    user, body = _find(call), await call.body(RoleBody)
    await call.propose(UpdateUser(user_id=user.id, role=body.role))
    return Answer(Message(id=user.id, message="Role changed successfully"))


_USER = Subject("users", "user_id")
ROUTES = (
    Route(
        method="GET",
        path="/users",
        access=Access.ADMIN,
        permission="users:read",
        handler=list_users,
        listing=Listing("users", UserItem),
    ),
    Route(
        method="POST",
        path="/users",
        access=Access.ADMIN,
        permission="users:create",
        handler=create_user,
        body=UserBody,
        answer=Message,
        status=201,
    ),
    Route(
        method="GET",
        path="/users/{user_id}",
        access=Access.ADMIN,
        permission="users:read",
        handler=get_user,
        answer=UserItem,
        subject=_USER,
    ),
    Route(
        method="DELETE",
        path="/users/{user_id}",
        access=Access.ADMIN,
        permission="users:delete",
        handler=delete_user,
        answer=Message,
        subject=_USER,
    ),
    Route(
        method="PUT",
        path="/users/{user_id}/password",
        access=Access.SELF,
        handler=set_password,
        body=PasswordBody,
        answer=Message,
        subject=_USER,
    ),
    Route(
        method="PUT",
        path="/users/{user_id}/role",
        access=Access.ADMIN,
        permission="users:update",
        handler=set_role,
        body=RoleBody,
        answer=Message,
        subject=_USER,
    ),
)
