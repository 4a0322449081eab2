"""Start order between apps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from consensus.model.workload import Name


class Dependency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`app` must run first: all of its replicas (or its `min_available`) healthy, or just started."""

    app: Name
    condition: Literal["healthy", "started"] = "healthy"


def dependency_problems(name: str, dependencies: Sequence[Dependency]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for i, dependency in enumerate(dependencies):
        if dependency.app == name:
            yield f"depends_on[{i}].app", "expected another app than itself"
        if dependency.app in seen:
            yield f"depends_on[{i}].app", f"{dependency.app} is named twice"
        seen.add(dependency.app)
