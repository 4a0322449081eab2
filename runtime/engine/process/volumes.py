"""Named volumes as directories. Blocking, and quick but for removal.

A process cannot be given a file system of its own without privileges, so a mount is a symbolic link at its
target under the task's root (`root/data` for `/data`) and its path in HIVEMIND_VOLUME_<NAME>. `read_only` is
not enforced, and `tmpfs` is a directory that each run finds empty.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime.engine.base import Mount, VolumeState
from runtime.engine.errors import InvalidSpec, VolumeNotFound
from runtime.engine.process.command import UserIds, inside

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")


class VolumeFile(Struct, frozen=True, kw_only=True):
    """volume.json."""

    name: str
    labels: Mapping[str, str]
    created_at_s: float


class Volumes:
    """The volumes under one directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def create(
        self, name: str, labels: Mapping[str, str], driver: str, now_s: float, options: Mapping[str, str] = {}
    ) -> VolumeState:
        """Make it, or take the one of that name. InvalidSpec."""
        if driver != "local":
            raise InvalidSpec(f"volume {name}: the process engine has no volume driver {driver!r}, only 'local'")
        if "size" in options:
            raise InvalidSpec(f"volume {name}: the process engine has no quota for directories")
        if options:
            raise InvalidSpec(f"volume {name}: the process engine mounts no file systems ({options.get('type')})")
        folder = self._path(name)
        if not folder.exists():
            new = self._folder / f".{name}"
            shutil.rmtree(new, ignore_errors=True)
            (new / "data").mkdir(parents=True)
            document = VolumeFile(name=name, labels=labels, created_at_s=now_s)
            (new / "volume.json").write_bytes(msgspec.json.encode(document))
            new.rename(folder)
        return self._state(folder)

    def list(self, labels: Mapping[str, str]) -> Sequence[VolumeState]:
        """Those that carry all of `labels`."""
        folders = (path for path in sorted(self._folder.iterdir()) if not path.name.startswith("."))
        states = (self._state(folder) for folder in folders)
        return [state for state in states if labels.items() <= state.labels.items()]

    def remove(self, name: str) -> None:
        """With its data. VolumeNotFound."""
        folder = self._path(name)
        hidden = self._folder / f".{name}"
        shutil.rmtree(hidden, ignore_errors=True)
        try:
            folder.rename(hidden)
        except FileNotFoundError:
            raise VolumeNotFound(f"no volume {name}") from None
        shutil.rmtree(hidden, ignore_errors=True)

    def link(self, root: Path, mounts: Sequence[Mount], now_s: float, owner: UserIds | None) -> Mapping[str, Path]:
        """Link the mounts into a task's root; where each volume lies. A missing volume is made. InvalidSpec."""
        paths: dict[str, Path] = {}
        for mount in mounts:
            if mount.kind == "volume":
                source = Path(self.create(mount.source, {}, "local", now_s).path)
                paths[mount.source] = source
                if owner is not None:
                    os.chown(source, owner.uid, owner.gid)
            elif mount.kind == "tmpfs":
                memory = inside(root, mount.target)
                shutil.rmtree(memory, ignore_errors=True)
                memory.mkdir(parents=True)
                continue
            else:
                source = Path(mount.source)
                if not source.is_absolute() or not source.exists():
                    raise InvalidSpec(f"bind source path does not exist: {mount.source}")
            target = inside(root, mount.target)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to(source)
        return paths

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidSpec(f"not a volume name: {name!r}; letters, digits and _ . - are, from a letter or digit")
        return self._folder / name

    def _state(self, folder: Path) -> VolumeState:
        document = msgspec.json.decode((folder / "volume.json").read_bytes(), type=VolumeFile)
        return VolumeState(
            name=document.name,
            driver="local",
            labels=document.labels,
            path=str(folder / "data"),
            created_at_s=document.created_at_s,
        )
