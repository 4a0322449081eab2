"""Performs the operations that task machines ask for on the engine, a bounded number side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

import trio

from consensus.model.node import NodeFacts
from runtime import labels
from runtime.agent_config import AgentConfig
from runtime.container_spec import container_spec
from runtime.engine.base import ContainerSpec, ContainerState, Engine, PullProgress
from runtime.engine.errors import ContainerNotFound, EngineError, EngineUnavailable, ForeignImage, NameConflict
from runtime.images import Images
from runtime.network.overlay.attachment import Attach
from runtime.task_effects import Create, EnsureImage, Inspect, Operation, Remove, Start, Stop
from runtime.task_inputs import Failed, Progressed, Succeeded
from runtime.volumes.errors import VolumeBusy
from runtime.volumes.provider import VolumeProvider

_MEBIBYTE = 1024 * 1024


class Operations:
    """`perform` answers with the machine's next input and raises nothing of the engine's.

    `facts` say which images this machine runs; without them all are tried.
    """

    def __init__(
        self,
        engine: Engine,
        config: AgentConfig,
        *,
        cluster_id: str,
        node_id: str,
        volumes: VolumeProvider,
        now_s: Callable[[], float],
        attach: Attach,
        facts: NodeFacts | None = None,
    ) -> None:
        self._facts = facts
        self._engine = engine
        self._volumes = volumes
        self._attach = attach
        self._cluster_id = cluster_id
        self._node_id = node_id
        self._now_s = now_s
        self._images = Images(engine, parallel_pulls=config.parallel_pulls)
        self._starts = trio.CapacityLimiter(config.parallel_starts)
        self._stops = trio.CapacityLimiter(config.parallel_stops)

    async def perform(self, operation: Operation, progressed: Callable[[Progressed], None]) -> Succeeded | Failed:
        number = operation.number
        try:
            if isinstance(operation, EnsureImage):
                return await self._ensure_image(operation, progressed)
            with self._volumes.uses.starting(_mounted(operation)):
                async with self._limit(operation):
                    container = await self._container_after(operation)
            if isinstance(operation, Start):
                # Asked without holding a place: the next start need not wait for the answer.
                container = await self._engine.inspect(operation.engine_id)
            return Succeeded(number, container=container)
        except VolumeBusy as error:
            return Failed(number, str(error), not_now=True)
        except ContainerNotFound as error:
            return Failed(number, str(error), container_gone=True)
        except EngineUnavailable as error:
            return Failed(number, f"the container engine does not answer: {error}", not_now=True)
        except ForeignImage as error:
            return Failed(number, str(error), image_architecture=error.architecture)
        except EngineError as error:
            return Failed(number, str(error))

    def _limit(self, operation: Operation) -> AbstractAsyncContextManager[object]:
        if isinstance(operation, Inspect):
            # What became of a container is told at once, however many wait to be started.
            return nullcontext()
        return self._stops if isinstance(operation, Stop | Remove) else self._starts

    async def _ensure_image(
        self, operation: EnsureImage, progressed: Callable[[Progressed], None]
    ) -> Succeeded | Failed:
        last = ""

        def tell(progress: PullProgress) -> None:
            # Each change is a log entry for the whole cluster: tens of percent are enough to see it move.
            nonlocal last
            words = _pull_words(operation.image, progress)
            if words != last:
                last = words
                progressed(Progressed(operation.number, words))

        image = await self._images.ensure(operation.image, tell)
        if self._facts is not None and not self._facts.runs(image.architecture):
            raise ForeignImage(operation.image, image.architecture, self._facts.architecture)
        return Succeeded(operation.number, image_id=image.image_id)

    async def _container_after(self, operation: Operation) -> ContainerState | None:
        match operation:
            case Create():
                return await self._create(operation)
            case Start(_, engine_id, _):
                await self._engine.start(engine_id)
            case Inspect(_, engine_id):
                return await self._engine.inspect(engine_id)
            case Stop(_, engine_id, grace_s):
                await self._engine.stop(engine_id, grace_s=grace_s)
            case Remove(_, engine_id):
                await self._engine.remove(engine_id, force=True, volumes=True)
        return None

    async def _create(self, operation: Create) -> ContainerState:
        spec = container_spec(
            operation.task,
            operation.spec,
            await self._attach(),
            cluster_id=self._cluster_id,
            node_id=self._node_id,
            find_volume=self._volumes.find,
        )
        for mount in operation.spec.volumes:
            await self._volumes.provide(mount.name)
        try:
            engine_id = await self._engine.create(spec)
        except NameConflict:
            # An earlier try got through without its answer getting back.
            found = await self._engine.inspect(spec.name)
            if not _same_task(spec.labels, found.labels):
                raise
            return found
        return _created(engine_id, spec, self._now_s())


def _mounted(operation: Operation) -> list[str]:
    """The volumes of a container that is made or started."""
    match operation:
        case Create():
            return [mount.name for mount in operation.spec.volumes]
        case Start():
            return [mount.name for mount in operation.volumes]
    return []


def _same_task(wanted: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return all(wanted[key] == found.get(key) for key in (labels.CLUSTER, labels.NODE, labels.TASK))


def _created(engine_id: str, spec: ContainerSpec, now_s: float) -> ContainerState:
    return ContainerState(
        engine_id=engine_id,
        name=spec.name,
        image=spec.image,
        labels=spec.labels,
        status="created",
        created_at_s=now_s,
    )


def _pull_words(image: str, progress: PullProgress) -> str:
    if progress.total_bytes <= 0:
        return f"pulling {image}"
    tenths = min(10, 10 * progress.current_bytes // progress.total_bytes)
    return f"pulling {image}: {10 * tenths} % of {max(1, progress.total_bytes // _MEBIBYTE)} MiB"
