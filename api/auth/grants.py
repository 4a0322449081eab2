"""What roles allow: the built-in ones by level, own ones by permissions."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from api.route import NAMESPACED, ROLE_ACCESS, Access, Need
from consensus.model.access import ANY, Permission
from consensus.model.user import Role, User
from consensus.state import State

DEFAULT_SCOPE = "namespace/default"
"""Where everything is while there are no tenants."""


class Grant(Struct, frozen=True):
    """What some roles together allow."""

    roles: tuple[str, ...]
    access: Access
    permissions: tuple[Permission, ...]

    def allows(self, need: Need) -> bool:
        if self.access >= need.access:
            return True
        return any(_covers(permission, need) for permission in self.permissions)


def _covers(permission: Permission, need: Need) -> bool:
    return (
        permission.verb in (ANY, need.verb)
        and permission.resource in (ANY, need.resource)
        and (permission.scope == ANY or (need.resource in NAMESPACED and permission.scope == DEFAULT_SCOPE))
    )


def of_roles(state: State, names: Iterable[str]) -> Grant:
    """Names of roles that are gone allow nothing."""
    access, permissions, roles = Access.SELF, [], tuple(names)
    for name in roles:
        if name in ROLE_ACCESS:
            access = max(access, ROLE_ACCESS[Role(name)])
        elif name in state.roles:
            permissions += state.roles[name].permissions
    return Grant(roles, access, tuple(permissions))


def of_user(state: State, user: User) -> Grant:
    """What the user's own role and those of their groups allow."""
    groups = [group for group in state.groups.values() if user.id in group.members]
    return of_roles(state, dict.fromkeys([user.role, *(role for group in groups for role in group.roles)]))
