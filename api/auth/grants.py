"""What roles allow: the built-in ones by level, own ones by permissions."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from api.auth.reach import EVERYWHERE, NOWHERE, Reach
from api.route import NAMESPACED, ROLE_ACCESS, Access, Need
from consensus.model.access import ANY, Permission
from consensus.model.user import Role, User
from consensus.namespaces import of_scope
from consensus.state import State


class Allowed(Struct, frozen=True):
    """A permission, and the namespaces that its scope means now."""

    verb: str
    resource: str
    reach: Reach

    def covers(self, need: Need) -> bool:
        return (
            self.verb in (ANY, need.verb)
            and self.resource in (ANY, need.resource)
            and (self.reach.everywhere or need.resource in NAMESPACED)
        )


class Grant(Struct, frozen=True):
    """What some roles together allow."""

    roles: tuple[str, ...]
    access: Access
    permissions: tuple[Allowed, ...]

    def reach(self, need: Need) -> Reach:
        """Where they allow it."""
        if self.access >= need.access:
            return EVERYWHERE
        found = NOWHERE
        for permission in self.permissions:
            if permission.covers(need):
                found |= permission.reach
        return found


def _allowed(state: State, permission: Permission) -> Allowed:
    return Allowed(permission.verb, permission.resource, Reach(of_scope(state, permission.scope)))


def of_roles(state: State, names: Iterable[str]) -> Grant:
    """Names of roles that are gone allow nothing."""
    access, permissions, roles = Access.SELF, [], tuple(names)
    for name in roles:
        if name in ROLE_ACCESS:
            access = max(access, ROLE_ACCESS[Role(name)])
        elif name in state.roles:
            permissions += [_allowed(state, permission) for permission in state.roles[name].permissions]
    return Grant(roles, access, tuple(permissions))


def of_user(state: State, user: User) -> Grant:
    """What the user's own role and those of their groups allow."""
    groups = [group for group in state.groups.values() if user.id in group.members]
    return of_roles(state, dict.fromkeys([user.role, *(role for group in groups for role in group.roles)]))
