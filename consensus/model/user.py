"""Users, API keys and revoked tokens. Secrets are here only as hashes."""

from __future__ import annotations

import enum

from msgspec import Struct


class Role(enum.StrEnum):
    """The roles that every cluster has; others are `consensus.model.access.OwnRole`."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class User(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`password_hash` is argon2id in PHC form; `credentials_version` makes older tokens invalid.

    `role` is one of `Role`, or the name of an OwnRole.
    """

    id: str
    username: str
    password_hash: str
    role: str = Role.VIEWER
    credentials_version: int = 1
    created_at_s: float


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`secret_hash` is SHA-256: the secret has 256 random bits, so a slow hash would add nothing.

    `role` is as a user's. `last_used_s` (unix time) is written in batches, so it lags a minute or so.
    """

    id: str
    name: str
    secret_hash: str
    role: str
    created_by: str
    created_at_s: float
    expires_at_s: float | None = None
    last_used_s: float | None = None


class RevokedToken(Struct, frozen=True):
    """A JWT that was logged out; forgotten once it has expired anyway."""

    id: str
    expires_at_s: float
