"""Ending daemons, and what they leave running on purpose: shims and their tasks."""

from __future__ import annotations

from pathlib import Path

import psutil

_DAEMONS = ("daemon", "tests.faults.log_node")
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Daemons whose data-dir lies in `folder`, shims whose task does, processes that work in a task's directory there,
    and all that those started. Somebody's editor or shell that only looks into `folder` is none of them.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if _belongs(process, f"{folder.resolve()}/"):
            found[process.pid] = process
            try:
                found.update((child.pid, child) for child in process.children(recursive=True))
            except _GONE:
                continue
    return list(found.values())


def end_processes_of(folder: Path, timeout_s: float = 5.0) -> int:
    """Kill them, by their pids, until none is left; answers how many there were."""
    ended = 0
    while found := processes_of(folder):
        for process in found:
            try:
                process.kill()
            except _GONE:
                continue
        ended += len(found)
        _, alive = psutil.wait_procs(found, timeout=timeout_s)
        if alive:
            raise TimeoutError(f"processes that do not end: {alive}")
    return ended


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        words, cwd = process.cmdline(), process.cwd()
    except _GONE:
        return False
    is_ours = any("shim" in word or word in _DAEMONS for word in words)
    return (is_ours and any(word.startswith(folder) for word in words)) or (cwd.startswith(folder) and "/tasks/" in cwd)
