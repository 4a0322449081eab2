"""The cgroups of the hosts: one subtree each, the root of what a host's engine sees.

Version 1 (a hierarchy per controller) and version 2 (one hierarchy) differ in how a host is entered, frozen
and throttled; `find_cgroups()` picks the one that this machine has.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.lab.commands import LabError, wait_for

CPU_PERIOD_US = 100_000
_REMOVAL_TIMEOUT_S = 5.0
_MOUNTS = Path("/proc/self/mounts")


class Cgroups(ABC):
    """The cgroups of the hosts of one lab."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    #: Shell that moves its own shell into the host's cgroup. It runs inside the host's namespaces, where
    #: "0" means the writer.
    join: str

    @abstractmethod
    def _roots(self) -> list[Path]:
        """The mounted hierarchies."""

    @abstractmethod
    def mounts(self) -> str:
        """What hostinit.sh mounts below the host's /sys/fs/cgroup: words `folder=options`."""

    @abstractmethod
    def make(self, host: str) -> list[Path]:
        """Make the host's cgroups; answers the files that a first process writes 0 to, to enter them."""

    @abstractmethod
    def freeze(self, host: str, frozen: bool) -> None:
        """Stop or continue every process of the host at once."""

    @abstractmethod
    def limit_cpu(self, host: str, percent: float) -> None:
        """Give the host at most `percent` of one core; 0 takes the limit away."""

    def pids(self, host: str) -> list[int]:
        """Every process of the host, by its pid on this machine."""
        found: set[int] = set()
        for folder in _folders(self._process_root() / self.prefix / host):
            with suppress(OSError):
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        return sorted(found)

    def remove(self, host: str = "") -> None:
        """Take away the host's cgroups (or, with no name, the lab's); its processes must be gone or going."""
        for root in self._roots():
            top = root / self.prefix / host
            if top.exists():
                wait_for(partial(_removed, top), _REMOVAL_TIMEOUT_S, f"removal of {top}")

    def _process_root(self) -> Path:
        return self._roots()[0]


class CgroupsV1(Cgroups):
    """https://docs.kernel.org/admin-guide/cgroup-v1/"""

    join = "for f in /sys/fs/cgroup/*/cgroup.procs; do echo 0 > $f; done"

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self._mounted: dict[Path, str] = {}
        for line in _MOUNTS.read_text().splitlines():
            _, folder, kind, options, *_ = line.split()
            if kind == "cgroup2":
                self._mounted[Path(folder)] = "v2"
            elif kind == "cgroup":
                words = [word for word in options.split(",") if word not in _MOUNT_WORDS]
                named = [word for word in words if not word.startswith("release_agent=")]
                self._mounted[Path(folder)] = ",".join(["none", *named] if "name=" in options else named)

    def _roots(self) -> list[Path]:
        return list(self._mounted)

    def _process_root(self) -> Path:
        return self._root_of("pids")

    def mounts(self) -> str:
        return " ".join(f"{folder.name}={options}" for folder, options in self._mounted.items())

    def make(self, host: str) -> list[Path]:
        entrances = []
        for root in self._mounted:
            for folder in (root / self.prefix, root / self.prefix / host):
                folder.mkdir(exist_ok=True)
                if (folder / "cpuset.cpus").exists():
                    _inherit_cpuset(folder)
            entrances.append(root / self.prefix / host / "cgroup.procs")
        return entrances

    def freeze(self, host: str, frozen: bool) -> None:
        state = self._root_of("freezer") / self.prefix / host / "freezer.state"
        state.write_text("FROZEN" if frozen else "THAWED")

    def limit_cpu(self, host: str, percent: float) -> None:
        quota = self._root_of("cpu") / self.prefix / host / "cpu.cfs_quota_us"
        quota.write_text(str(int(percent / 100 * CPU_PERIOD_US)) if percent else "-1")

    def _root_of(self, controller: str) -> Path:
        for folder, options in self._mounted.items():
            if controller in options.split(","):
                return folder
        raise LabError(f"this machine has no cgroup controller {controller}")


class CgroupsV2(Cgroups):
    """https://docs.kernel.org/admin-guide/cgroup-v2.html

    A cgroup that hands controllers to children may hold no process itself, so hostinit.sh moves the host's
    first process to its `init` child, and every later one enters there.
    """

    join = "echo 0 > /sys/fs/cgroup/init/cgroup.procs"
    _root = Path("/sys/fs/cgroup")

    def _roots(self) -> list[Path]:
        return [self._root]

    def mounts(self) -> str:
        return "=v2"

    def make(self, host: str) -> list[Path]:
        lab = self._root / self.prefix
        (lab / host).mkdir(parents=True, exist_ok=True)
        for folder in (self._root, lab):
            for controller in (folder / "cgroup.controllers").read_text().split():
                with suppress(OSError):
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        return [lab / host / "cgroup.procs"]

    def freeze(self, host: str, frozen: bool) -> None:
        (self._root / self.prefix / host / "cgroup.freeze").write_text("1" if frozen else "0")

    def limit_cpu(self, host: str, percent: float) -> None:
        quota = str(int(percent / 100 * CPU_PERIOD_US)) if percent else "max"
        (self._root / self.prefix / host / "cpu.max").write_text(f"{quota} {CPU_PERIOD_US}")


def find_cgroups(prefix: str) -> Cgroups:
    """The version that this machine has at /sys/fs/cgroup."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return CgroupsV2(prefix) if unified else CgroupsV1(prefix)


_MOUNT_WORDS = {"rw", "ro", "nosuid", "nodev", "noexec", "relatime", "xattr", "clone_children"}


def _inherit_cpuset(folder: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            (folder / name).write_text((folder.parent / name).read_text().strip())
    (folder / "cgroup.clone_children").write_text("1")


def _folders(top: Path) -> list[Path]:
    """`top` and every folder below it, children before their parents."""
    return [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]


def _removed(top: Path) -> bool:
    for folder in _folders(top):
        with suppress(OSError):
            folder.rmdir()
    return not top.exists()
