"""One pull for each image at a time, however many tasks wait for it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from runtime.engine.base import Engine, ImageRef, PullProgress
from runtime.engine.errors import EngineError

Listener = Callable[[PullProgress], None]


class _Pull:
    def __init__(self) -> None:
        self.done = trio.Event()
        self.listeners: list[Listener] = []
        self.result: ImageRef | EngineError | None = None


class Images:
    """`ensure` as the engine's, shared. A pull that its first caller gives up is taken over by the next."""

    def __init__(self, engine: Engine, *, parallel_pulls: int) -> None:
        self._engine = engine
        self._pulls: dict[str, _Pull] = {}
        self._limiter = trio.CapacityLimiter(parallel_pulls)

    async def ensure(self, image: str, on_progress: Listener) -> ImageRef:
        """The image, present. Raises what `Engine.ensure_image` raises."""
        while True:
            pull = self._pulls.get(image)
            if pull is None:
                return await self._lead(image, on_progress)
            pull.listeners.append(on_progress)
            try:
                await pull.done.wait()
            finally:
                pull.listeners.remove(on_progress)
            if isinstance(pull.result, ImageRef):
                return pull.result
            if pull.result is not None:
                raise type(pull.result)(*pull.result.args) from pull.result

    async def _lead(self, image: str, on_progress: Listener) -> ImageRef:
        pull = self._pulls[image] = _Pull()
        pull.listeners.append(on_progress)

        def tell(progress: PullProgress) -> None:
            for listener in list(pull.listeners):
                listener(progress)

        try:
            async with self._limiter:
                pull.result = await self._engine.ensure_image(image, on_progress=tell)
            return pull.result
        except EngineError as error:
            pull.result = error
            raise
        finally:
            del self._pulls[image]
            pull.done.set()
