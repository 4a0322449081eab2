"""Roles of one's own, and groups of users that have roles."""

from __future__ import annotations

from msgspec import Struct

ANY = "*"


class Permission(Struct, frozen=True, forbid_unknown_fields=True):
    """May do `verb` to `resource` within `scope`: ``*``, ``namespace/<name>`` or ``tenant/<id>``."""

    verb: str
    resource: str
    scope: str = ANY


class OwnRole(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role that users defined, besides those of `consensus.model.user.Role`."""

    name: str
    permissions: list[Permission]
    description: str = ""
    created_at_s: float


class Group(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Its members (user ids) have its roles besides their own."""

    name: str
    roles: list[str]
    members: list[str]
    created_at_s: float
