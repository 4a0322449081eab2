"""The base of all commands."""

from __future__ import annotations

from msgspec import Struct


class Command(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all commands; the tag is the class name."""
