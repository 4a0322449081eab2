"""The Docker engine behind the interface of `base`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import anyio

from consensus.model.image import ImageFound
from runtime.engine.base import (
    EXEC_OUTPUT_LIMIT_BYTES,
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
from runtime.engine.docker import Docker, DockerConnectionError, DockerError
from runtime.engine.docker.multiplexed import Message
from runtime.engine.docker.streams import AnswerStream
from runtime.engine.docker.times import unix_seconds
from runtime.engine.docker_errors import (
    CONTAINER_ERRORS,
    CREATE_ERRORS,
    REGISTRY_ERRORS,
    RUNNING_ERRORS,
    VOLUME_ERRORS,
    translated,
)
from runtime.engine.docker_exec import DockerExecStream, exit_code_after_eof
from runtime.engine.docker_networks import DockerEngineNetworks
from runtime.engine.docker_values import (
    PullMeter,
    container_config,
    container_state,
    container_stats,
    cpu_time,
    engine_event,
    image_found,
    image_ref,
    image_tag,
    is_as_seen,
    is_of_registry,
    log_line,
    volume_state,
)
from runtime.engine.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    ContainerRunning,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    ImagePullFailed,
    InvalidSpec,
    NameConflict,
)

T = TypeVar("T")
_INSPECTS_SIDE_BY_SIDE = 8
_NOT_IN_REGISTRY = ("not found", "manifest unknown", "does not exist", "pull access denied")


class DockerEngine:
    """`Engine` over a Docker client, which it closes."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        # Containers on the host's network are reached where the engine is.
        self._engine_address = urlsplit(docker.docker_host).hostname or "127.0.0.1"

    @property
    def name(self) -> Literal["docker", "process"]:
        return "docker"

    @property
    def networks(self) -> DockerEngineNetworks:
        return DockerEngineNetworks(self._docker)

    async def info(self) -> EngineInfo:
        with translated({}):
            answer = await self._docker.system.info()
        return EngineInfo(
            name="docker",
            version=answer["ServerVersion"],
            architecture=answer["Architecture"],
            cpu_cores=answer["NCPU"],
            memory_bytes=answer["MemTotal"],
            containers_running=answer["ContainersRunning"],
        )

    async def ensure_image(self, image: str, *, on_progress: Callable[[PullProgress], None] | None = None) -> ImageRef:
        try:
            return image_ref(await self._docker.images.inspect(image))
        except DockerConnectionError as error:
            raise EngineUnavailable(error.message) from error
        except DockerError as error:
            if error.status != 404:
                raise (InvalidSpec if error.status == 400 else EngineBusy)(error.message) from error
        await self._pull(image, on_progress)
        with translated({404: ImageNotFound}):
            return image_ref(await self._docker.images.inspect(image))

    async def look_up(self, image: str) -> ImageFound | None:
        try:
            with translated({404: ImageNotFound}):
                if not is_of_registry(image, await self._docker.images.inspect(image)):
                    return None
        except ImageNotFound:
            pass  # it is not here: only its registry knows it
        with translated(REGISTRY_ERRORS):
            return image_found(await self._docker.images.distribution(image))

    async def _pull(self, image: str, on_progress: Callable[[PullProgress], None] | None) -> None:
        meter = PullMeter()
        try:
            async with self._docker.images.pull(image, tag=image_tag(image)) as documents:
                async for document in documents:
                    progress = meter.add(document)
                    if on_progress is not None:
                        on_progress(progress)
        except DockerConnectionError as error:
            raise EngineUnavailable(error.message) from error
        except DockerError as error:
            words = f"cannot pull {image}: {error.message}"
            if error.status == 400:
                raise InvalidSpec(words) from error
            unknown = any(phrase in error.message.lower() for phrase in _NOT_IN_REGISTRY)
            raise (ImageNotFound if unknown else ImagePullFailed)(words) from error

    async def create(self, spec: ContainerSpec) -> str:
        with translated(CREATE_ERRORS):
            return (await self._docker.containers.create(container_config(spec), name=spec.name)).id

    async def start(self, engine_id: str) -> None:
        with translated(CONTAINER_ERRORS):
            await self._docker.containers.container(engine_id).start()

    async def stop(self, engine_id: str, *, grace_s: float | None = None, signal: str | None = None) -> None:
        container = self._docker.containers.container(engine_id)
        seconds = None if grace_s is None else max(0, round(grace_s))
        with translated(CONTAINER_ERRORS):
            if seconds is None:
                seconds = (await container.show())["Config"].get("StopTimeout", 10)
            if signal is None:
                await container.stop(t=seconds)
            else:
                await self._stop_with(engine_id, signal, seconds)

    async def _stop_with(self, engine_id: str, signal: str, grace_s: int) -> None:
        # The stop call takes a signal only since API 1.42; signal, wait and stop do the same everywhere.
        container = self._docker.containers.container(engine_id)
        try:
            await container.kill(signal=signal)
        except DockerError as error:
            if error.status != 409:
                raise
            return
        with anyio.move_on_after(grace_s):
            await container.wait()
            return
        await container.stop(t=0)

    async def kill(self, engine_id: str, *, signal: str = "SIGKILL") -> None:
        with translated(RUNNING_ERRORS):
            await self._docker.containers.container(engine_id).kill(signal=signal)

    async def remove(self, engine_id: str, *, force: bool = False, volumes: bool = False) -> None:
        with translated({404: ContainerNotFound, 409: ContainerRunning}):
            await self._docker.containers.container(engine_id).delete(force=force, v=volumes)

    async def inspect(self, engine_id: str) -> ContainerState:
        with translated(CONTAINER_ERRORS):
            document = await self._docker.containers.container(engine_id).show()
        return container_state(document, self._engine_address)

    async def list(self, labels: Mapping[str, str], *, seen: Iterable[ContainerState] = ()) -> Sequence[ContainerState]:
        with translated({}):
            found = await self._docker.containers.list(all=True, filters={"label": _label_filter(labels)})
        known = {state.engine_id: state for state in seen}
        states = {c.id: known[c.id] for c in found if c.id in known and is_as_seen(c.attrs, known[c.id])}
        failures: dict[str, EngineError] = {}
        limiter = anyio.CapacityLimiter(_INSPECTS_SIDE_BY_SIDE)

        async def inspect(engine_id: str) -> None:
            async with limiter:
                try:
                    states[engine_id] = await self.inspect(engine_id)
                except ContainerNotFound:
                    return  # removed between the list and now
                except EngineError as error:
                    failures[engine_id] = error

        async with anyio.create_task_group() as tasks:
            for container in found:
                if container.id not in states:
                    tasks.start_soon(inspect, container.id)
        for error in failures.values():
            raise error
        return [states[container.id] for container in found if container.id in states]

    @asynccontextmanager
    async def events(self, labels: Mapping[str, str]) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        filters = {"type": ["container"], "label": _label_filter(labels)}
        with translated({}):
            # By the engine's own clock, so that nothing between its answer and its subscribing us is lost.
            now_s = unix_seconds((await self._docker.system.info())["SystemTime"])
            since = f"{now_s:.6f}"
            async with self._docker.events.subscribe(since=since, filters=filters) as subscriber:
                yield _EventIterator(subscriber)

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
        container = self._docker.containers.container(engine_id)
        with translated(CONTAINER_ERRORS):
            async with container.log(
                follow=follow,
                timestamps=True,
                tail="all" if tail is None else tail,
                since=None if since_s is None else f"{since_s:.9f}",
                until=None if until_s is None else f"{until_s:.9f}",
            ) as messages:
                yield _LogIterator(messages)

    async def stats(self, engine_id: str) -> ContainerStats:
        return await self._sampled(engine_id, container_stats, one_shot=False)

    async def cpu_time(self, engine_id: str) -> CpuTime:
        return await self._sampled(engine_id, cpu_time, one_shot=True)

    async def _sampled(self, engine_id: str, read: Callable[[dict[str, Any]], T | None], *, one_shot: bool) -> T:
        """What `read` makes of a sample; None: it is the empty one of a container that does not run."""
        with translated(RUNNING_ERRORS):
            container = self._docker.containers.container(engine_id)
            async with container.stats(stream=False, one_shot=one_shot) as samples:
                sample = await samples.get()
        found = None if sample is None else read(sample)
        if found is None:
            raise ContainerNotRunning(f"container {engine_id} is not running")
        return found

    async def exec(
        self,
        engine_id: str,
        command: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
    ) -> ExecResult:
        """As in `Engine`. After a timeout the command goes on in the container: Docker cannot end it."""
        output = bytearray()
        with translated(RUNNING_ERRORS), anyio.fail_after(timeout_s):
            exec_ = await self._docker.containers.container(engine_id).exec(command, environment=env)
            async with exec_.start() as stream:
                while (message := await stream.read_out()) is not None:
                    output += message.data[: EXEC_OUTPUT_LIMIT_BYTES - len(output)]
            exit_code = await exit_code_after_eof(exec_)
        return ExecResult(exit_code if exit_code is not None else -1, bytes(output))

    @asynccontextmanager
    async def exec_stream(
        self,
        engine_id: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> AsyncIterator[DockerExecStream]:
        with translated(RUNNING_ERRORS):
            container = self._docker.containers.container(engine_id)
            exec_ = await container.exec(command, stdin=True, tty=tty, environment=env)
            async with exec_.start() as stream:
                yield DockerExecStream(exec_, stream, tty=tty)

    async def create_volume(
        self,
        name: str,
        *,
        labels: Mapping[str, str],
        driver: str = "local",
        options: Mapping[str, str] | None = None,
    ) -> VolumeState:
        config = {"Name": name, "Labels": dict(labels), "Driver": driver, "DriverOpts": dict(options or {})}
        with translated({404: InvalidSpec, 409: NameConflict}):
            volume = await self._docker.volumes.create(config)
            return volume_state(await volume.show())

    async def list_volumes(self, labels: Mapping[str, str]) -> Sequence[VolumeState]:
        with translated({}):
            answer = await self._docker.volumes.list(filters={"label": _label_filter(labels)})
        return [volume_state(document) for document in answer.get("Volumes") or []]

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        with translated(VOLUME_ERRORS):
            await (await self._docker.volumes.get(name)).delete(force=force)

    async def aclose(self) -> None:
        await self._docker.close()


def _label_filter(labels: Mapping[str, str]) -> Sequence[str]:
    return [f"{name}={value}" for name, value in labels.items()]


class _EventIterator(AsyncIterator[EngineEvent]):
    def __init__(self, subscriber: AnswerStream[dict[str, Any]]) -> None:
        self._subscriber = subscriber

    async def __anext__(self) -> EngineEvent:
        with translated({}):
            document = await self._subscriber.get()
        if document is None:
            raise EngineUnavailable("the engine ended its event stream")
        return engine_event(document)


class _LogIterator(AsyncIterator[LogLine]):
    def __init__(self, messages: AnswerStream[Message]) -> None:
        self._messages = messages

    async def __anext__(self) -> LogLine:
        with translated(CONTAINER_ERRORS):
            message = await self._messages.get()
        if message is None:
            raise StopAsyncIteration
        return log_line(message)
