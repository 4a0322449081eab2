"""Named volumes. Of type local: an engine volume on each node that runs a task which mounts it."""

from __future__ import annotations

from msgspec import Struct, field

from consensus.model.quantity import Memory


class Volume(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    type: str = "local"
    size: Memory | None = None
    labels: dict[str, str] = field(default_factory=dict)
    created_at_s: float
