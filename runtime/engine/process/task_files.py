"""A task's directory: what is written there, and what state that amounts to."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from runtime.engine.base import ContainerSpec, ContainerState
from runtime.engine.process.identity import ProcessIdentity

Document = TypeVar("Document")

_SUPERVISOR_DIED = "its supervising process was killed"
_KILLED_EXIT_CODE = 137
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


class TaskSpec(Struct, frozen=True, kw_only=True):
    """spec.json."""

    engine_id: str
    created_at_s: float
    spec: ContainerSpec


class TaskRun(Struct, frozen=True, kw_only=True):
    """run.json: what the shim starts."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    uid: int | None
    gid: int | None
    memory_limit_bytes: int | None
    pids_limit: int | None
    cgroup_procs: str | None
    log_max_bytes: int
    log_max_files: int
    port_map: dict[int, int]


class TaskStart(Struct, frozen=True, kw_only=True):
    """shim.json: who runs."""

    shim: ProcessIdentity
    main: ProcessIdentity
    started_at_s: float


class TaskEnd(Struct, frozen=True, kw_only=True):
    """exit.json: how it ended."""

    exit_code: int
    finished_at_s: float
    oom_killed: bool = False
    error: str = ""


class TaskFiles:
    """One task's directory. Everything here reads or writes files, in well under a millisecond."""

    def __init__(self, folder: Path, task: TaskSpec) -> None:
        self.folder = folder
        self.task = task
        self.engine_id = task.engine_id
        self.spec = task.spec
        self.log_folder = folder / "log"
        self.root = folder / "root"

    @classmethod
    def create(cls, tasks: Path, spec: ContainerSpec, now_s: float) -> TaskFiles:
        """Make the directory; it is there whole or not at all."""
        task = TaskSpec(engine_id=uuid.uuid4().hex, created_at_s=now_s, spec=spec)
        new = tasks / f".{task.engine_id}"
        (new / "root").mkdir(parents=True)
        (new / "log").mkdir(mode=_PRIVATE_FOLDER)
        _write(new / "spec.json", task)
        folder = tasks / task.engine_id
        new.rename(folder)
        return cls(folder, task)

    @classmethod
    def load(cls, folder: Path) -> TaskFiles:
        """Of a directory that is there. OSError, msgspec.DecodeError."""
        return cls(folder, msgspec.json.decode((folder / "spec.json").read_bytes(), type=TaskSpec))

    @property
    def run(self) -> TaskRun | None:
        return _read(self.folder / "run.json", TaskRun)

    @property
    def start(self) -> TaskStart | None:
        return _read(self.folder / "shim.json", TaskStart)

    @property
    def end(self) -> TaskEnd | None:
        return _read(self.folder / "exit.json", TaskEnd)

    def begin(self, run: TaskRun) -> None:
        """Forget the last run, and say what the shim shall start."""
        for name in ("exit.json", "shim.json"):
            (self.folder / name).unlink(missing_ok=True)
        _write(self.folder / "run.json", run)

    def fail(self, end: TaskEnd) -> None:
        """Record that it could not be started."""
        _write(self.folder / "exit.json", end)

    def running(self) -> TaskStart | None:
        """Who runs now, None where nothing does."""
        start = self.start
        return start if start is not None and start.shim.alive() else None

    def state(self, address: str) -> ContainerState:
        """The state that the files and the process table amount to.

        The end is read after the shim was seen dead: it writes the end before it goes.
        """
        start, run = self.start, self.run
        alive = start is not None and start.shim.alive()
        end = None if alive else self.end
        common = ContainerState(
            engine_id=self.engine_id,
            name=self.spec.name,
            image=self.spec.image,
            labels=self.spec.labels,
            status="created",
            created_at_s=self.task.created_at_s,
            started_at_s=start.started_at_s if start else None,
        )
        if alive and start is not None:
            ports: Mapping[int, int] = run.port_map if run else {}
            return msgspec.structs.replace(
                common, status="running", pid=start.main.pid, address=address, port_map=ports
            )
        if end is not None:
            return msgspec.structs.replace(
                common,
                status="exited" if start else "created",
                exit_code=end.exit_code,
                error=end.error,
                oom_killed=end.oom_killed,
                finished_at_s=end.finished_at_s,
            )
        if start is not None:
            return msgspec.structs.replace(common, status="dead", exit_code=_KILLED_EXIT_CODE, error=_SUPERVISOR_DIED)
        return common

    def delete(self) -> None:
        """Remove all of it. It disappears at once, also where the removal is cut short."""
        hidden = self.folder.with_name(f".{self.engine_id}")
        self.folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def _read(path: Path, kind: type[Document]) -> Document | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None


def _write(path: Path, document: Struct) -> None:
    new = path.with_suffix(".new")
    # A task's environment holds secrets.
    new.touch(mode=_PRIVATE_FILE)
    new.write_bytes(msgspec.json.encode(document))
    os.replace(new, path)
