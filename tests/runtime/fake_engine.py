"""A container engine in memory: no threads, no sockets, so that it runs under trio's MockClock."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Literal

import trio
from msgspec.structs import replace

from consensus.model.image import ImageFound
from runtime.engine.base import (
    ContainerSpec,
    ContainerState,
    ContainerStats,
    CpuTime,
    EngineEvent,
    EngineInfo,
    ExecResult,
    ExecStream,
    ImageRef,
    LogLine,
    PullProgress,
    VolumeState,
)
from runtime.engine.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    ContainerRunning,
    EngineError,
    EngineUnavailable,
    NameConflict,
    VolumeInUse,
    VolumeNotFound,
)


class FakeEngine:
    """Knobs are attributes; `calls` is what was asked, in order, as (method, name or id)."""

    def __init__(self) -> None:
        self.containers: dict[str, ContainerState] = {}
        self.specs: dict[str, ContainerSpec] = {}
        self.volumes: dict[str, VolumeState] = {}
        self.log_lines: list[LogLine] = []
        self.calls: list[tuple[str, str]] = []
        self.down = False
        self.pull_error: EngineError | None = None
        self.image_architecture = "amd64"
        self.pull_s = 0.0
        self.registry: dict[str, ImageFound | EngineError | None] = {}
        self.registry_s = 0.0
        self.start_s = 0.1
        self.ignores_signal = False
        self.exec_exit_code = 0
        self.exec_s = 0.0
        self.busy = 0
        self.busiest = 0
        self.logs_open = 0
        self._subscribers: list[trio.MemorySendChannel[EngineEvent]] = []
        self._number = 0
        self._line_written = trio.Event()
        self._start = trio.Event()

    # -- what happens behind the agent's back

    def die(self, engine_id: str, exit_code: int = 1) -> None:
        self._end(engine_id, exit_code)

    def break_events(self) -> None:
        for subscriber in self._subscribers:
            subscriber.close()
        self._subscribers = []

    def write(self, line: LogLine) -> None:
        self.log_lines.append(line)
        self._line_written.set()
        self._line_written = trio.Event()

    async def started(self) -> None:
        """Returns after the next start."""
        await self._start.wait()

    def by_task(self, task_id: str) -> ContainerState:
        return next(c for c in self.containers.values() if c.labels.get("hivemind.task") == task_id)

    def count(self, method: str) -> int:
        return sum(1 for name, _ in self.calls if name == method)

    # -- Engine

    @property
    def name(self) -> Literal["docker", "process"]:
        return "process"

    async def info(self) -> EngineInfo:
        await self._call("info", "")
        return EngineInfo(
            name="fake", version="1", architecture="amd64", cpu_cores=2, memory_bytes=1 << 30, containers_running=0
        )

    async def ensure_image(self, image: str, *, on_progress: Callable[[PullProgress], None] | None = None) -> ImageRef:
        await self._call("ensure_image", image)
        if on_progress is not None and self.pull_s:
            on_progress(PullProgress(status="Downloading", current_bytes=1, total_bytes=2))
        await trio.sleep(self.pull_s)
        if self.pull_error is not None:
            raise self.pull_error
        return ImageRef(image_id=f"sha256:{image}", digest=None, architecture=self.image_architecture)

    async def look_up(self, image: str) -> ImageFound | None:
        await self._call("look_up", image)
        await trio.sleep(self.registry_s)
        found = self.registry.get(image)
        if isinstance(found, EngineError):
            raise found
        return found

    async def create(self, spec: ContainerSpec) -> str:
        await self._call("create", spec.name)
        if any(c.name == spec.name for c in self.containers.values()):
            raise NameConflict(f"the name {spec.name} is taken")
        self._number += 1
        engine_id = f"c{self._number}"
        self.specs[engine_id] = spec
        self.containers[engine_id] = ContainerState(
            engine_id=engine_id,
            name=spec.name,
            image=spec.image,
            labels=dict(spec.labels),
            status="created",
            created_at_s=trio.current_time(),
        )
        self._emit(engine_id, "create")
        return engine_id

    async def start(self, engine_id: str) -> None:
        await self._call("start", engine_id)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await trio.sleep(self.start_s)
        finally:
            self.busy -= 1
        if self._get(engine_id).status == "running":
            return
        self._set(
            engine_id,
            status="running",
            started_at_s=trio.current_time(),
            finished_at_s=None,
            exit_code=None,
            address="127.0.0.1",
            port_map={port.container_port: port.container_port for port in self.specs[engine_id].ports},
        )
        self._emit(engine_id, "start")
        self._start.set()
        self._start = trio.Event()

    async def stop(self, engine_id: str, *, grace_s: float | None = None, signal: str | None = None) -> None:
        await self._call("stop", engine_id)
        if self._get(engine_id).status != "running":
            return
        if self.ignores_signal:
            await trio.sleep(self.specs[engine_id].stop_grace_s if grace_s is None else grace_s)
        self._end(engine_id, 137 if self.ignores_signal else 143)

    async def kill(self, engine_id: str, *, signal: str = "SIGKILL") -> None:
        await self._call("kill", engine_id)
        self._end(engine_id, 137)

    async def remove(self, engine_id: str, *, force: bool = False, volumes: bool = False) -> None:
        await self._call("remove", engine_id)
        if self._get(engine_id).status == "running" and not force:
            raise ContainerRunning(engine_id)
        self._emit(engine_id, "destroy")
        del self.containers[engine_id]

    async def inspect(self, engine_id: str) -> ContainerState:
        await self._call("inspect", engine_id)
        return self._get(engine_id)

    async def list(self, labels: Mapping[str, str], *, seen: Iterable[ContainerState] = ()) -> Sequence[ContainerState]:
        await self._call("list", "")
        return [c for c in self.containers.values() if _carries(c.labels, labels)]

    def events(self, labels: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        return self._events(labels)

    @asynccontextmanager
    async def _events(self, labels: Mapping[str, str]) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        await self._call("events", "")
        send, receive = trio.open_memory_channel[EngineEvent](math.inf)
        self._subscribers.append(send)
        with send, receive:
            yield _EventIterator(receive, labels)

    def logs(
        self,
        engine_id: str,
        *,
        tail: int | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        return self._logs(engine_id, tail, follow)

    @asynccontextmanager
    async def _logs(self, engine_id: str, tail: int | None, follow: bool) -> AsyncIterator[AsyncIterator[LogLine]]:
        await self._call("logs", engine_id)
        self._get(engine_id)
        self.logs_open += 1
        try:
            async with aclosing(self._lines(tail, follow)) as lines:
                yield lines
        finally:
            self.logs_open -= 1

    async def _lines(self, tail: int | None, follow: bool) -> AsyncGenerator[LogLine, None]:
        position = 0 if tail is None else max(0, len(self.log_lines) - tail)
        while True:
            while position < len(self.log_lines):
                yield self.log_lines[position]
                position += 1
            if not follow:
                return
            await self._line_written.wait()

    async def stats(self, engine_id: str) -> ContainerStats:
        await self._call("stats", engine_id)
        if self._get(engine_id).status != "running":
            raise ContainerNotRunning(engine_id)
        return ContainerStats(
            timestamp_s=trio.current_time(),
            cpu_percent=12.5,
            memory_bytes=1000,
            memory_limit_bytes=None,
            network_rx_bytes=1,
            network_tx_bytes=2,
            block_read_bytes=3,
            block_write_bytes=4,
        )

    async def cpu_time(self, engine_id: str) -> CpuTime:
        await self._call("cpu_time", engine_id)
        if self._get(engine_id).status != "running":
            raise ContainerNotRunning(engine_id)
        return CpuTime(trio.current_time(), trio.current_time() / 8)

    async def exec(
        self, engine_id: str, command: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
    ) -> ExecResult:
        await self._call("exec", engine_id)
        if self._get(engine_id).status != "running":
            raise ContainerNotRunning(engine_id)
        if self.exec_s > timeout_s:
            await trio.sleep(timeout_s)
            raise TimeoutError
        await trio.sleep(self.exec_s)
        return ExecResult(self.exec_exit_code, b"words")

    def exec_stream(
        self, engine_id: str, command: Sequence[str], *, tty: bool = False, env: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[ExecStream]:
        raise EngineError("this engine has no streams")

    async def create_volume(
        self,
        name: str,
        *,
        labels: Mapping[str, str],
        driver: str = "local",
        options: Mapping[str, str] | None = None,
    ) -> VolumeState:
        await self._call("create_volume", name)
        return self.volumes.setdefault(
            name, VolumeState(name=name, driver=driver, labels=dict(labels), path="/", created_at_s=None)
        )

    async def list_volumes(self, labels: Mapping[str, str]) -> Sequence[VolumeState]:
        await self._call("list_volumes", "")
        return [v for v in self.volumes.values() if _carries(v.labels, labels)]

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        await self._call("remove_volume", name)
        if any(mount.source == name for i in self.containers for mount in self.specs[i].mounts):
            raise VolumeInUse(name)
        if self.volumes.pop(name, None) is None:
            raise VolumeNotFound(name)

    async def aclose(self) -> None:
        return

    # -- inside

    async def _call(self, method: str, subject: str) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append((method, subject))
        if self.down:
            raise EngineUnavailable("connection refused")

    def _get(self, engine_id: str) -> ContainerState:
        if (found := self.containers.get(engine_id)) is not None:
            return found
        for container in self.containers.values():
            if engine_id == container.name:
                return container
        raise ContainerNotFound(engine_id)

    def _set(self, engine_id: str, **changes: object) -> None:
        self.containers[engine_id] = replace(self._get(engine_id), **changes)

    def _end(self, engine_id: str, exit_code: int) -> None:
        self._set(
            engine_id,
            status="exited",
            exit_code=exit_code,
            finished_at_s=trio.current_time(),
            address=None,
            port_map={},
        )
        self._emit(engine_id, "die", exit_code)

    def _emit(self, engine_id: str, action: str, exit_code: int | None = None) -> None:
        event = EngineEvent(
            engine_id=engine_id,
            action=action,
            labels=self._get(engine_id).labels,
            timestamp_s=trio.current_time(),
            exit_code=exit_code,
        )
        for subscriber in self._subscribers:
            try:
                subscriber.send_nowait(event)
            except trio.BrokenResourceError:
                continue
            except trio.ClosedResourceError:
                continue


class _EventIterator:
    def __init__(self, receive: trio.MemoryReceiveChannel[EngineEvent], labels: Mapping[str, str]) -> None:
        self._receive = receive
        self._labels = labels

    def __aiter__(self) -> _EventIterator:
        return self

    async def __anext__(self) -> EngineEvent:
        while True:
            try:
                event = await self._receive.receive()
            except (trio.EndOfChannel, trio.ClosedResourceError) as error:
                raise EngineUnavailable("the event stream broke") from error
            if _carries(event.labels, self._labels):
                return event


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())
