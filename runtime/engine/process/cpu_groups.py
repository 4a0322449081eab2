"""CPU limits by the kernel's control groups, where we may make them (mostly: as root).

Source: Linux admin guide, cgroup-v2 ("cpu.max") and scheduler/sched-bwc (v1, "cpu.cfs_quota_us").
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import structlog

_PERIOD_US = 100_000
_MIN_QUOTA_US = 1_000
_GROUP = "hivemind"
_log = structlog.get_logger()


class CpuGroups:
    """One group for each task with a limit, under `hivemind` in the machine's tree."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root
        self._unified = (root / "cgroup.controllers").exists()
        self._base = root / _GROUP if self._unified else root / "cpu" / _GROUP

    def limit(self, engine_id: str, cores: float) -> str | None:
        """The file to which a process writes `0` to enter its limit; None, and a warning, where there is none."""
        group = self._base / engine_id
        quota_us = max(_MIN_QUOTA_US, round(cores * _PERIOD_US))
        try:
            if self._unified:
                self._base.mkdir(exist_ok=True)
                for parent in (self._root, self._base):
                    (parent / "cgroup.subtree_control").write_text("+cpu")
                group.mkdir(exist_ok=True)
                (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
            else:
                group.mkdir(parents=True, exist_ok=True)
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        except OSError as error:
            _log.warning("cpu_limit_not_enforced", engine_id=engine_id, reason=str(error))
            return None
        return str(group / "cgroup.procs")

    def forget(self, engine_id: str) -> None:
        """Remove the group of a task that has ended, and ours, if it was the last."""
        with suppress(OSError):
            (self._base / engine_id).rmdir()
            self._base.rmdir()
