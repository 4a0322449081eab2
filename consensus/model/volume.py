"""Named volumes, by where their data is.

local       an engine volume on one node (`node_id`), made when a task that mounts it is first placed
hostpath    a directory of the node's host
nfs         an exported directory of a server; `network` is the same with another file system
ephemeral   memory of the container's own, gone with it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, field

from consensus.model.namespace import DEFAULT
from consensus.model.quantity import Memory, memory_bytes

TYPES = ("local", "hostpath", "nfs", "network", "ephemeral")
_USED_BY = {
    "size": ("local", "ephemeral"),
    "node_id": ("local", "hostpath"),
    "path": ("hostpath", "nfs", "network"),
    "server": ("nfs", "network"),
    "filesystem": ("network",),
    "mount_options": ("nfs", "network"),
}
_NEEDED_BY = {"path": ("hostpath", "nfs", "network"), "server": ("nfs", "network"), "filesystem": ("network",)}


class Volume(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`size` of a local one is a quota where the node's file system has such; `without_quota` says what else.

    `snapshot` is a copy of `cloned_from` that nobody writes to.
    """

    name: str
    namespace: str = DEFAULT
    type: str = "local"
    size: Memory | None = None
    labels: dict[str, str] = field(default_factory=dict)
    created_at_s: float
    node_id: str | None = None
    path: str | None = None
    server: str | None = None
    filesystem: str | None = None
    mount_options: str | None = None
    without_quota: Literal["warn", "refuse"] = "warn"
    cloned_from: str | None = None
    snapshot: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether its data is on one node, so that its users must run there."""
        return self.type == "local" or (self.type == "hostpath" and self.node_id is not None)

    def is_snapshot_of(self, name: str) -> bool:
        return self.snapshot and self.cloned_from == name

    @property
    def size_bytes(self) -> int | None:
        return None if self.size is None else memory_bytes(self.size)

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field and what was expected there."""
        if self.type not in TYPES:
            yield "type", f"expected one of {', '.join(TYPES)}, got {self.type!r}"
            return
        for name, types in _USED_BY.items():
            given = getattr(self, name)
            public = "node" if name == "node_id" else name
            if given is not None and self.type not in types:
                yield public, f"expected for type {' or '.join(types)} only, and this one is {self.type}"
            if given is None and self.type in _NEEDED_BY.get(name, ()):
                yield public, f"required for type {self.type}, but missing"
        if self.size is not None:
            try:
                memory_bytes(self.size)
            except ValueError as error:
                yield "size", str(error)
        if self.path is not None and (not self.path.startswith("/") or ".." in self.path.split("/")):
            yield "path", f"expected an absolute path without '..', got {self.path!r}"
        for name in ("server", "filesystem", "mount_options"):
            text = getattr(self, name)
            if text is not None and (not text or any(c.isspace() or c == "\0" for c in text)):
                yield name, f"expected text without spaces, got {text!r}"
