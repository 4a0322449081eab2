"""Namespaces: which objects belong together, and who may act where.

Apps, jobs, volumes and services are in one each, and what is theirs with them. A namespace need not be made: it is
there as soon as something is in it. Names are unique in the whole cluster.
"""

from __future__ import annotations

from msgspec import Struct

DEFAULT = "default"


class Reach(Struct, frozen=True):
    """Where who asks has a permission: in these namespaces and nowhere else."""

    permission: str
    namespaces: tuple[str, ...]
