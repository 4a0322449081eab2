"""Priority classes: who is placed first, and who makes room. An app without one has DEFAULT."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from consensus.model.workload import Name


class PriorityClass(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    value: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
    description: str = ""


DEFAULT = "medium-priority"
BUILT_IN = {
    known.name: known
    for known in (
        PriorityClass(name="high-priority", value=100, description="placed first, may preempt the others"),
        PriorityClass(name=DEFAULT, value=50, description="of apps that name none"),
        PriorityClass(name="low-priority", value=10, description="makes room for the others"),
    )
}
