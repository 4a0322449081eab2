"""Logging in and out, API keys, and the key that signs tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Annotated

from msgspec import Meta, Struct

from api.answer import Answer, Message
from api.auth import api_keys, grants, tokens
from api.auth.identity import Identity
from api.call import Call
from api.errors import Conflict, InvalidRequest, NotFound, PermissionDenied, Unavailable
from api.route import Access, Listing, Route
from api.times import parse_time
from api.views.container import time_or_none
from api.views.fields import same_fields
from consensus.commands import CreateApiKey, DeleteApiKey, RevokeToken, RotateTokenKey
from consensus.model.quantity import Duration, duration_s
from consensus.model.user import ApiKey
from consensus.timestamp import iso_utc


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    username: str
    password: str


class LoginAnswer(Struct, frozen=True, kw_only=True):
    token: str
    user_id: str
    username: str
    role: str
    expires_at: str


class KeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`role`: at most one's own, which is the default. At most one of `expires_at` and `expires_in`."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    role: str | None = None
    expires_at: str | None = None
    expires_in: Duration | None = None


class KeyItem(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: str
    created_by: str
    created_at: str
    expires_at: str | None
    last_used: str | None


class KeyAnswer(KeyItem, frozen=True, kw_only=True):
    """`key` is told this once."""

    key: str
    message: str


async def login(call: Call) -> Answer:
    body = await call.body(LoginBody)
    user = await call.services.authenticator.check_password(body.username, body.password, call.address)
    call.services.journal.note(
        user_id=user.id, address=call.address, action=call.route.name, target=call.target, outcome="done"
    )
    token, expires_at_s = tokens.issue(
        user,
        key=call.deps.token_key(),
        token_id=secrets.token_hex(16),
        now_s=call.now_s,
        lifetime_s=call.deps.settings.token_lifetime_s,
    )
    return Answer(
        LoginAnswer(
            token=token,
            user_id=user.id,
            username=user.username,
            role=user.role,
            expires_at=iso_utc(expires_at_s),
        )
    )


async def logout(call: Call) -> Answer:
    identity = call.identity
    if identity.token_id is None or identity.token_expires_at_s is None:
        raise InvalidRequest("there is no token to log out: the request was authenticated by a password or an API key")
    await call.propose(RevokeToken(token_id=identity.token_id, expires_at_s=identity.token_expires_at_s))
    return Answer(Message(message="Logged out successfully"))


def key_item(key: ApiKey) -> KeyItem:
    return KeyItem(
        id=key.id,
        name=key.name,
        role=key.role,
        created_by=key.created_by,
        created_at=iso_utc(key.created_at_s),
        expires_at=time_or_none(key.expires_at_s),
        last_used=time_or_none(key.last_used_s),
    )


def may_see_key(identity: Identity, key: ApiKey) -> bool:
    return key.created_by == identity.user_id or identity.access is Access.ADMIN


async def list_keys(call: Call) -> Answer:
    keys = sorted(call.state.api_keys.values(), key=lambda key: (key.name, key.id))
    return await call.listed([key for key in keys if may_see_key(call.identity, key)], key_item)


async def create_key(call: Call) -> Answer:
    body, identity = await call.body(KeyBody), call.identity
    role = body.role or identity.role
    held = any(role in grant.roles for grant in identity.grants)
    if not held and grants.of_roles(call.state, [role]).access > identity.access:
        raise PermissionDenied(
            f"a key of role {role} needs a user of that role; {identity.username} is {identity.role}"
        )
    key_id, shown, secret_hash = api_keys.mint(_seed(call))
    key = ApiKey(
        id=key_id,
        name=body.name,
        secret_hash=secret_hash,
        role=role,
        created_by=identity.user_id,
        created_at_s=call.now_s,
        expires_at_s=_expiry_s(body, call.now_s),
    )
    await call.propose(CreateApiKey(key=key))
    made = call.state.api_keys.get(key_id)
    if made is None:
        raise Conflict("this request has made a key before, and it is shown only once")
    item = key_item(made)
    same = same_fields(KeyItem, item)
    return Answer(KeyAnswer(**same, key=shown, message="API key created; it is shown only once"), status=201)


def _seed(call: Call) -> bytes | None:
    """With an Idempotency-Key, a retry through any node shows the same API key."""
    key = call.idempotency_key
    if key is None:
        return None
    return hmac.digest(call.deps.token_key(), f"api-key/{call.identity.user_id}/{key}".encode(), hashlib.sha256)


def _expiry_s(body: KeyBody, now_s: float) -> float | None:
    if body.expires_at is not None and body.expires_in is not None:
        raise InvalidRequest("expires_in: expected expires_at or expires_in, not both")
    try:
        if body.expires_in is not None:
            return now_s + duration_s(body.expires_in)
        expires_at_s = None if body.expires_at is None else parse_time(body.expires_at)
    except ValueError as error:
        name = "expires_in" if body.expires_in is not None else "expires_at"
        raise InvalidRequest(f"{name}: {error}") from None
    if expires_at_s is not None and expires_at_s <= now_s:
        raise InvalidRequest("expires_at: expected a time to come")
    return expires_at_s


async def delete_key(call: Call) -> Answer:
    key_id = call.path["key_id"]
    key = call.state.api_keys.get(key_id)
    if key is None or not may_see_key(call.identity, key):
        raise NotFound(f"there is no API key {key_id!r}")
    await call.propose(DeleteApiKey(key_id=key_id))
    return Answer(Message(id=key_id, message="API key deleted successfully"))


async def rotate_keys(call: Call) -> Answer:
    deps = call.deps
    if deps.seal is None:
        raise Unavailable("this node cannot seal a new key")
    sealed = deps.seal(secrets.token_bytes(32))
    lifetime_s = deps.settings.token_lifetime_s
    await call.propose(RotateTokenKey(token_key_sealed=sealed, previous_until_s=call.now_s + lifetime_s))
    return Answer(Message(message="Tokens are signed with a new key; those of the key before hold until they expire"))


ROUTES = (
    Route(
        method="POST",
        path="/auth/login",
        access=Access.PUBLIC,
        handler=login,
        body=LoginBody,
        answer=LoginAnswer,
        batchable=False,
    ),
    Route(method="POST", path="/auth/logout", access=Access.SELF, handler=logout, answer=Message),
    Route(
        method="GET",
        path="/auth/api-keys",
        access=Access.SELF,
        handler=list_keys,
        listing=Listing("api_keys", KeyItem),
    ),
    Route(
        method="POST",
        path="/auth/api-keys",
        access=Access.SELF,
        handler=create_key,
        body=KeyBody,
        answer=KeyAnswer,
        status=201,
    ),
    Route(method="DELETE", path="/auth/api-keys/{key_id}", access=Access.SELF, handler=delete_key, answer=Message),
    Route(
        method="POST",
        path="/auth/rotate-keys",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=rotate_keys,
        answer=Message,
    ),
)
