"""Which image a name means now, as this node's engine hears it from the registry."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from api.deps import ImageUnresolved
from consensus.model.image import ImageFound, repository
from runtime.engine.base import Engine
from runtime.engine.errors import EngineError

log = structlog.get_logger()

ANSWER_TIMEOUT_S = 5.0
"""A registry across the world answers in one or two, with its token server; a deploy waits no longer than this."""
SILENCE_S = 30.0
"""For how long a registry that did not answer in time is not waited for again."""


class ImageResolver:
    """Implements `api.deps.ResolveImage`."""

    def __init__(self, engine: Engine, *, now_s: Callable[[], float]) -> None:
        self._engine = engine
        self._now_s = now_s
        self._silent_until_s: dict[str, float] = {}

    async def __call__(self, image: str) -> ImageFound | None:
        try:
            return await self._asked(image)
        except ImageUnresolved as error:
            log.warning("image_unresolved", image=image, reason=str(error))
            raise

    async def _asked(self, image: str) -> ImageFound | None:
        host = repository(image).partition("/")[0]
        if self._silent_until_s.get(host, 0.0) > self._now_s():
            raise ImageUnresolved(f"registry {host} did not answer in time a moment ago")
        try:
            with trio.fail_after(ANSWER_TIMEOUT_S):
                found = await self._engine.look_up(image)
        except trio.TooSlowError:
            self._silent_until_s[host] = self._now_s() + SILENCE_S
            raise ImageUnresolved(f"registry {host} did not answer within {ANSWER_TIMEOUT_S:g} s") from None
        except EngineError as error:
            raise ImageUnresolved(str(error)) from error
        self._silent_until_s.pop(host, None)
        return found
