"""Users, API keys, revoked tokens."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply.access import unknown_role
from consensus.commands import CreateApiKey, CreateUser, DeleteApiKey, DeleteUser, RevokeToken, UpdateUser
from consensus.draft import Draft
from consensus.model.user import RevokedToken, Role
from consensus.outcomes import AnyOutcome, Done, conflict, not_found


def create(draft: Draft, command: CreateUser) -> AnyOutcome:
    user = command.user
    if user.id in draft.state.users or any(u.username == user.username for u in draft.state.users.values()):
        return conflict(f"user {user.username!r} exists already")
    refusal = unknown_role(draft.state, [user.role])
    if refusal is not None:
        return refusal
    draft.put_user(user)
    return Done()


def update(draft: Draft, command: UpdateUser) -> AnyOutcome:
    user = draft.state.users.get(command.user_id)
    if user is None:
        return not_found("user", command.user_id)
    role = command.role or user.role
    refusal = unknown_role(draft.state, [role])
    if refusal is not None:
        return refusal
    if role != Role.ADMIN and _is_last_admin(draft, user.id):
        return conflict(f"user {user.username!r} is the last admin")
    draft.put_user(
        replace(
            user,
            password_hash=command.password_hash or user.password_hash,
            role=role,
            credentials_version=user.credentials_version + 1,
        )
    )
    return Done()


def delete(draft: Draft, command: DeleteUser) -> AnyOutcome:
    user = draft.state.users.get(command.user_id)
    if user is None:
        return not_found("user", command.user_id)
    if _is_last_admin(draft, user.id):
        return conflict(f"user {user.username!r} is the last admin")
    draft.delete_user(user.id)
    for key in list(draft.state.api_keys.values()):
        if key.created_by == user.id:
            draft.delete_api_key(key.id)
    for group in list(draft.state.groups.values()):
        if user.id in group.members:
            draft.put_group(replace(group, members=[member for member in group.members if member != user.id]))
    return Done()


def _is_last_admin(draft: Draft, user_id: str) -> bool:
    return [u.id for u in draft.state.users.values() if u.role == Role.ADMIN] == [user_id]


def create_api_key(draft: Draft, command: CreateApiKey) -> AnyOutcome:
    if any(key.name == command.key.name for key in draft.state.api_keys.values()):
        return conflict(f"API key {command.key.name!r} exists already")
    refusal = unknown_role(draft.state, [command.key.role])
    if refusal is not None:
        return refusal
    draft.put_api_key(command.key)
    return Done()


def delete_api_key(draft: Draft, command: DeleteApiKey) -> AnyOutcome:
    if command.key_id not in draft.state.api_keys:
        return not_found("API key", command.key_id)
    draft.delete_api_key(command.key_id)
    return Done()


def revoke_token(draft: Draft, command: RevokeToken) -> AnyOutcome:
    draft.put_revoked_token(RevokedToken(command.token_id, command.expires_at_s))
    return Done()
