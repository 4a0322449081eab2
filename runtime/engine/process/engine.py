"""The embedded engine behind the interface of `base`."""

from __future__ import annotations

import os
import platform
import signal as signals
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
import msgspec
import psutil
import structlog

from consensus.model.image import ImageFound
from runtime.engine.base import (
    ContainerSpec,
    ContainerState,
    ContainerStats,
    CpuTime,
    EngineEvent,
    EngineInfo,
    ExecResult,
    ImageRef,
    LogLine,
    PullProgress,
    VolumeState,
)
from runtime.engine.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    ContainerRunning,
    EngineBusy,
    InvalidSpec,
    NameConflict,
    VolumeInUse,
)
from runtime.engine.process.command import inside, task_argv, task_env, user_ids
from runtime.engine.process.cpu_groups import CpuGroups
from runtime.engine.process.events import EventSubscription
from runtime.engine.process.exec import ProcessExec, run_command
from runtime.engine.process.identity import wait_ended
from runtime.engine.process.logs import LogIterator
from runtime.engine.process.metrics import UsageMeter
from runtime.engine.process.ports import free_ports
from runtime.engine.process.task_files import TaskEnd, TaskFiles, TaskRun, TaskStart
from runtime.engine.process.volumes import Volumes

_SHIM_PROGRAM = str(Path(__file__).with_name("shim.py"))
_CANNOT_START_EXIT_CODE = 127
_log = structlog.get_logger()


class ProcessEngine:
    """`Engine` that runs tasks as processes of this machine (the package says what that means).

    Tasks listen at `address`. Those found under `data_dir` are adopted. Only one engine may use a `data_dir`.
    """

    def __init__(self, data_dir: Path, *, address: str) -> None:
        self._address = address
        self._tasks_folder = data_dir / "tasks"
        self._tasks_folder.mkdir(parents=True, exist_ok=True)
        self._volumes = Volumes(data_dir / "volumes")
        self._tasks = _load_tasks(self._tasks_folder)
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._subscriptions: set[EventSubscription] = set()
        self._meter = UsageMeter()
        self._cpu_groups = CpuGroups()

    @property
    def name(self) -> Literal["docker", "process"]:
        return "process"

    async def info(self) -> EngineInfo:
        running = sum(1 for task in self._tasks.values() if task.running())
        return EngineInfo(
            name="process",
            version=platform.python_version(),
            architecture=platform.machine(),
            cpu_cores=psutil.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            containers_running=running,
        )

    async def ensure_image(self, image: str, *, on_progress: Callable[[PullProgress], None] | None = None) -> ImageRef:
        """There are no images: any name is taken, and `create` says if a task has nothing to run."""
        return ImageRef(image_id=image, digest=None, architecture=platform.machine())

    async def look_up(self, image: str) -> ImageFound | None:
        """None: there are no images."""
        return None

    async def create(self, spec: ContainerSpec) -> str:
        task_argv(spec)
        _stop_signal(spec.stop_signal)
        if spec.user:
            user_ids(spec.user)
            if os.geteuid() != 0:
                raise InvalidSpec(f"{spec.name}: only root can run a task as another user ({spec.user})")
        for mount in spec.mounts:
            inside(Path("/"), mount.target)
        if any(task.spec.name == spec.name for task in self._tasks.values()):
            raise NameConflict(f"the name {spec.name} is taken by another task")
        with _disk_errors():
            task = TaskFiles.create(self._tasks_folder, spec, time.time())
        self._tasks[task.engine_id] = task
        self._publish(task, "create")
        return task.engine_id

    async def start(self, engine_id: str) -> None:
        async with self._exclusive(engine_id) as task:
            if task.running():
                return
            self._prepare(task)
            # No shell, and `-S -I`: the shim needs the standard library only, and starts in some 15 ms.
            launch = await anyio.run_process(
                [sys.executable, "-S", "-I", _SHIM_PROGRAM, str(task.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
            if launch.returncode != 0:
                words = launch.stderr.decode(errors="replace").strip() or "its supervisor could not be started"
                task.fail(TaskEnd(exit_code=_CANNOT_START_EXIT_CODE, finished_at_s=time.time(), error=words))
                raise InvalidSpec(f"cannot start {task.spec.name}: {words}")
        self._publish(task, "start")
        started = task.start
        if started is not None:
            for subscription in self._subscriptions:
                subscription.watch(task.engine_id, started.shim)

    def _prepare(self, task: TaskFiles) -> None:
        spec = task.spec
        previous = task.run
        port_map = free_ports(self._address, spec.ports, previous.port_map if previous else {})
        owner = user_ids(spec.user) if spec.user else None
        volumes = self._volumes.link(task.root, spec.mounts, time.time(), owner)
        workdir = inside(task.root, spec.workdir) if spec.workdir and spec.workdir != "/" else task.root
        workdir.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            os.chown(task.root, owner.uid, owner.gid)
        env = task_env(spec, address=self._address, port_map=port_map, root=task.root, volumes=volumes)
        cores = spec.cpu_limit_cores
        cpu_group = self._cpu_groups.limit(task.engine_id, cores) if cores is not None else None
        task.begin(
            TaskRun(
                argv=task_argv(spec),
                env=env,
                cwd=str(workdir),
                uid=owner.uid if owner else None,
                gid=owner.gid if owner else None,
                memory_limit_bytes=spec.memory_limit_bytes,
                pids_limit=spec.pids_limit,
                cgroup_procs=cpu_group,
                log_max_bytes=spec.log_rotation.max_bytes,
                log_max_files=spec.log_rotation.max_files,
                port_map=port_map,
            )
        )

    async def stop(self, engine_id: str, *, grace_s: float | None = None, signal: str | None = None) -> None:
        async with self._exclusive(engine_id) as task:
            number = _stop_signal(signal or task.spec.stop_signal)
            if started := task.running():
                _signal_group(started, number)
                with anyio.move_on_after(task.spec.stop_grace_s if grace_s is None else grace_s):
                    await wait_ended(started.shim)
                await self._end(started)

    async def kill(self, engine_id: str, *, signal: str = "SIGKILL") -> None:
        task, started = self._running(engine_id)
        _signal_group(started, _stop_signal(signal))
        self._publish(task, "kill")

    async def remove(self, engine_id: str, *, force: bool = False, volumes: bool = False) -> None:
        async with self._exclusive(engine_id) as task:
            if started := task.running():
                if not force:
                    raise ContainerRunning(f"{task.spec.name} is running: stop it first, or force its removal")
                await self._end(started)
            del self._tasks[task.engine_id]
            await anyio.to_thread.run_sync(task.delete)
            self._cpu_groups.forget(task.engine_id)
        self._locks.pop(task.engine_id, None)
        self._publish(task, "destroy")

    async def inspect(self, engine_id: str) -> ContainerState:
        return self._task(engine_id).state(self._address)

    async def list(self, labels: Mapping[str, str], *, seen: Iterable[ContainerState] = ()) -> Sequence[ContainerState]:
        wanted = [task for task in self._tasks.values() if labels.items() <= task.spec.labels.items()]

        def states() -> Sequence[ContainerState]:
            return [task.state(self._address) for task in wanted if task.folder.exists()]

        return await anyio.to_thread.run_sync(states)

    @asynccontextmanager
    async def events(self, labels: Mapping[str, str]) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        subscription = EventSubscription(labels, self._ended_state)
        try:
            for task in self._tasks.values():
                if started := task.running():
                    subscription.watch(task.engine_id, started.shim)
            self._subscriptions.add(subscription)
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.close()

    @asynccontextmanager
    async def logs(
        self,
        engine_id: str,
        *,
        tail: int | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        follow: bool = False,
    ) -> AsyncIterator[AsyncIterator[LogLine]]:
        task = self._task(engine_id)
        yield LogIterator(
            task.log_folder,
            lambda: task.running() is not None,
            tail=tail,
            since_s=since_s,
            until_s=until_s,
            follow=follow,
        )

    async def stats(self, engine_id: str) -> ContainerStats:
        task, started = self._running(engine_id)
        return await self._meter.sample(started.shim.pid, task.spec.memory_limit_bytes)

    async def cpu_time(self, engine_id: str) -> CpuTime:
        _, started = self._running(engine_id)
        return await self._meter.cpu_time(started.shim.pid)

    async def exec(
        self, engine_id: str, command: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
    ) -> ExecResult:
        return await run_command(self._current_run(engine_id), command, timeout_s=timeout_s, env=env)

    @asynccontextmanager
    async def exec_stream(
        self,
        engine_id: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> AsyncIterator[ProcessExec]:
        try:
            process = ProcessExec.start(self._current_run(engine_id), command, tty=tty, env=env)
        except OSError as error:
            raise InvalidSpec(f"{command[0]}: {error.strerror}") from error
        try:
            yield process
        finally:
            await process.aclose()

    async def create_volume(
        self,
        name: str,
        *,
        labels: Mapping[str, str],
        driver: str = "local",
        options: Mapping[str, str] | None = None,
    ) -> VolumeState:
        with _disk_errors():
            return self._volumes.create(name, labels, driver, time.time(), options or {})

    async def list_volumes(self, labels: Mapping[str, str]) -> Sequence[VolumeState]:
        return await anyio.to_thread.run_sync(self._volumes.list, labels)

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        for task in self._tasks.values():
            if any(mount.kind == "volume" and mount.source == name for mount in task.spec.mounts):
                raise VolumeInUse(f"volume {name} is in use by {task.spec.name}")
        await anyio.to_thread.run_sync(self._volumes.remove, name)

    async def aclose(self) -> None:
        """Nothing is held open; tasks keep running under their shims."""

    def _task(self, engine_id: str) -> TaskFiles:
        if task := self._tasks.get(engine_id):
            return task
        for task in self._tasks.values():
            if task.spec.name == engine_id:
                return task
        raise ContainerNotFound(f"no task {engine_id}")

    @asynccontextmanager
    async def _exclusive(self, engine_id: str) -> AsyncIterator[TaskFiles]:
        """One at a time changes a task: a start must not race its own removal."""
        task = self._task(engine_id)
        async with self._locks[task.engine_id]:
            if task.engine_id not in self._tasks:
                raise ContainerNotFound(f"no task {engine_id}")
            with _disk_errors():
                yield task

    def _running(self, engine_id: str) -> tuple[TaskFiles, TaskStart]:
        task = self._task(engine_id)
        started = task.running()
        if started is None:
            raise ContainerNotRunning(f"{task.spec.name} is not running")
        return task, started

    def _current_run(self, engine_id: str) -> TaskRun:
        run = self._running(engine_id)[0].run
        if run is None:
            raise ContainerNotRunning(f"task {engine_id} is not running")
        return run

    async def _end(self, started: TaskStart) -> None:
        _signal_group(started, signals.SIGKILL)
        await wait_ended(started.shim)

    def _ended_state(self, engine_id: str) -> ContainerState | None:
        task = self._tasks.get(engine_id)
        return task.state(self._address) if task else None

    def _publish(self, task: TaskFiles, action: str) -> None:
        event = EngineEvent(engine_id=task.engine_id, action=action, labels=task.spec.labels, timestamp_s=time.time())
        for subscription in self._subscriptions:
            subscription.publish(event)


def _load_tasks(folder: Path) -> dict[str, TaskFiles]:
    tasks: dict[str, TaskFiles] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            tasks[path.name] = TaskFiles.load(path)
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("task_directory_unreadable", path=str(path), error=str(error))
    return tasks


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineBusy(f"the process engine's disk: {error}") from error


def _stop_signal(name: str) -> signals.Signals:
    try:
        if name.isdecimal():
            return signals.Signals(int(name))
        return signals.Signals["SIG" + name.upper().removeprefix("SIG")]
    except (ValueError, KeyError):
        raise InvalidSpec(f"not a signal: {name!r}") from None


def _signal_group(started: TaskStart, number: int) -> None:
    # The group is the main process's; its shim reaps it only with its end, so that the pid is still its own.
    if started.main.alive():
        os.killpg(started.main.pid, number)
