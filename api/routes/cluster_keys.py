"""The keys that gossip is sealed with: listed and changed at every live member, without a restart."""

from __future__ import annotations

import base64
import secrets

from msgspec import Struct

from api.answer import Answer
from api.call import Call
from api.deps import KeyRound
from api.errors import InvalidRequest
from api.route import Access, Listing, Route

KEY_BYTES = 32


class KeyItem(Struct, frozen=True, kw_only=True):
    """`fingerprint` stands for the key, which is never shown. `unanswered` are members that could not be asked."""

    fingerprint: str
    in_use: bool
    used_by: list[str]
    held_by: list[str]
    unanswered: list[str]


class InstallBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: 32 bytes in base64; a new one is made where none is given."""

    key: str | None = None


class KeyAnswer(Struct, frozen=True, kw_only=True):
    fingerprint: str
    message: str


def items_of(round_: KeyRound) -> list[KeyItem]:
    """The used keys first."""
    held: dict[str, list[str]] = {}
    used: dict[str, list[str]] = {}
    for member, ring in round_.rings.items():
        used.setdefault(ring[0], []).append(member)
        for fingerprint in ring:
            held.setdefault(fingerprint, []).append(member)
    unanswered = sorted(round_.failed)
    return [
        KeyItem(
            fingerprint=fingerprint,
            in_use=fingerprint in used,
            used_by=used.get(fingerprint, []),
            held_by=members,
            unanswered=unanswered,
        )
        for fingerprint, members in sorted(held.items(), key=lambda item: (item[0] not in used, item[0]))
    ]


def _key_of(body: InstallBody) -> bytes:
    if body.key is None:
        return secrets.token_bytes(KEY_BYTES)
    try:
        key = base64.b64decode(body.key, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidRequest(f"key: expected {KEY_BYTES} bytes in base64")
    return key


def _done(call: Call, fingerprint: str, message: str, *, status: int = 200) -> Answer:
    call.note(f"gossip key {fingerprint}")
    return Answer(KeyAnswer(fingerprint=fingerprint, message=message), status=status)


async def list_keys(call: Call) -> Answer:
    return await call.listed(items_of(await call.deps.gossip_keys.list()), lambda item: item)


async def install_key(call: Call) -> Answer:
    body = await call.body(InstallBody) if await call.has_body() else InstallBody()
    fingerprint = await call.deps.gossip_keys.install(_key_of(body))
    return _done(call, fingerprint, "Key installed at every member", status=201)


async def use_key(call: Call) -> Answer:
    fingerprint = call.path["fingerprint"]
    await call.deps.gossip_keys.use(fingerprint)
    return _done(call, fingerprint, "Key used by every member")


async def remove_key(call: Call) -> Answer:
    fingerprint = call.path["fingerprint"]
    await call.deps.gossip_keys.remove(fingerprint)
    return _done(call, fingerprint, "Key removed from every member")


async def rotate_keys(call: Call) -> Answer:
    return _done(call, await call.deps.gossip_keys.rotate(), "Every member uses a new key, and no other")


ROUTES = (
    Route(
        method="GET",
        path="/cluster/keys",
        access=Access.ADMIN,
        permission="cluster:read",
        handler=list_keys,
        listing=Listing("keys", KeyItem),
    ),
    Route(
        method="POST",
        path="/cluster/keys",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=install_key,
        body=InstallBody,
        answer=KeyAnswer,
        status=201,
        replicated=False,
    ),
    Route(
        method="POST",
        path="/cluster/keys/{fingerprint}/use",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=use_key,
        answer=KeyAnswer,
        replicated=False,
    ),
    Route(
        method="DELETE",
        path="/cluster/keys/{fingerprint}",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=remove_key,
        answer=KeyAnswer,
        replicated=False,
    ),
    Route(
        method="POST",
        path="/cluster/rotate-keys",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=rotate_keys,
        answer=KeyAnswer,
        replicated=False,
    ),
)
