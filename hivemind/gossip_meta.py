"""What a daemon says of itself by gossip: in the member's meta, at most 512 bytes (design.md §4)."""

from __future__ import annotations

import enum

import msgspec
from msgspec import Struct


class Intent(enum.StrEnum):
    """What the daemon is about to do. A restarting one's tasks are left alone (design.md §3)."""

    NONE = ""
    RESTARTING = "restarting"


class GossipMeta(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"boot_id": "b", "intent": "i"}):
    """`boot_id` names one run of the daemon."""

    boot_id: str
    intent: Intent = Intent.NONE
    api_port: int = 0
    version: str = ""


def pack(meta: GossipMeta) -> bytes:
    return msgspec.msgpack.encode(meta)


def unpack(data: bytes) -> GossipMeta | None:
    """None where a member of another version sends what this one cannot read."""
    try:
        return msgspec.msgpack.decode(data, type=GossipMeta)
    except msgspec.DecodeError:
        return None
