"""Users, API keys and revoked tokens. Secrets are here only as hashes."""

from __future__ import annotations

import enum

from msgspec import Struct


class Role(enum.StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class User(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`password_hash` is argon2id in PHC form; `credentials_version` makes older tokens invalid."""

    id: str
    username: str
    password_hash: str
    role: Role = Role.VIEWER
    credentials_version: int = 1
    created_at_s: float


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`secret_hash` is SHA-256: the secret has 256 random bits, so a slow hash would add nothing."""

    id: str
    name: str
    secret_hash: str
    role: Role
    created_by: str
    created_at_s: float
    expires_at_s: float | None = None


class RevokedToken(Struct, frozen=True):
    """A JWT that was logged out; forgotten once it has expired anyway."""

    id: str
    expires_at_s: float
