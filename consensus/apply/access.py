"""Own roles, groups, and the record of who came."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from consensus.commands import (
    CreateGroup,
    CreateRole,
    DeleteGroup,
    DeleteRole,
    RecordAccess,
    UpdateGroup,
    UpdateRole,
)
from consensus.draft import Draft
from consensus.model.user import Role
from consensus.outcomes import AnyOutcome, Done, Refusal, conflict, invalid, not_found
from consensus.state import State

BUILT_IN = frozenset(role.value for role in Role)


def unknown_role(state: State, names: Iterable[str]) -> Refusal | None:
    """The refusal of the first role that there is not."""
    for name in names:
        if name not in BUILT_IN and name not in state.roles:
            return invalid(f"there is no role {name!r}")
    return None


def create_role(draft: Draft, command: CreateRole) -> AnyOutcome:
    name = command.role.name
    if name in BUILT_IN or name in draft.state.roles:
        return conflict(f"role {name!r} exists already")
    draft.put_role(command.role)
    return Done()


def update_role(draft: Draft, command: UpdateRole) -> AnyOutcome:
    known = draft.state.roles.get(command.role.name)
    if known is None:
        if command.role.name in BUILT_IN:
            return conflict(f"role {command.role.name!r} is built in")
        return not_found("role", command.role.name)
    draft.put_role(replace(command.role, created_at_s=known.created_at_s))
    return Done()


def delete_role(draft: Draft, command: DeleteRole) -> AnyOutcome:
    name, state = command.name, draft.state
    if name in BUILT_IN:
        return conflict(f"role {name!r} is built in")
    if name not in state.roles:
        return not_found("role", name)
    holders = [f"user {user.username!r}" for user in state.users.values() if user.role == name]
    holders += [f"group {group.name!r}" for group in state.groups.values() if name in group.roles]
    holders += [f"API key {key.name!r}" for key in state.api_keys.values() if key.role == name]
    if holders:
        return conflict(f"role {name!r} is held by {min(holders)}")
    draft.delete_role(name)
    return Done()


def create_group(draft: Draft, command: CreateGroup) -> AnyOutcome:
    group = command.group
    if group.name in draft.state.groups:
        return conflict(f"group {group.name!r} exists already")
    refusal = unknown_role(draft.state, group.roles) or _unknown_member(draft.state, group.members)
    if refusal is not None:
        return refusal
    draft.put_group(group)
    return Done()


def update_group(draft: Draft, command: UpdateGroup) -> AnyOutcome:
    group = command.group
    known = draft.state.groups.get(group.name)
    if known is None:
        return not_found("group", group.name)
    refusal = unknown_role(draft.state, group.roles) or _unknown_member(draft.state, group.members)
    if refusal is not None:
        return refusal
    draft.put_group(replace(group, created_at_s=known.created_at_s))
    return Done()


def delete_group(draft: Draft, command: DeleteGroup) -> AnyOutcome:
    if command.name not in draft.state.groups:
        return not_found("group", command.name)
    draft.delete_group(command.name)
    return Done()


def _unknown_member(state: State, members: Iterable[str]) -> Refusal | None:
    for user_id in members:
        if user_id not in state.users:
            return invalid(f"there is no user {user_id!r}")
    return None


def record(draft: Draft, command: RecordAccess) -> AnyOutcome:
    for note in command.notes:
        draft.add_audit_note(note)
    for key_id, used_s in command.key_uses.items():
        key = draft.state.api_keys.get(key_id)
        if key is not None and used_s > (key.last_used_s or 0):
            draft.put_api_key(replace(key, last_used_s=used_s))
    return Done()
