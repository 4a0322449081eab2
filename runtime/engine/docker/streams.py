"""Answers that go on: bytes, JSON documents and frames as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio
import msgspec

from runtime.engine.docker.connection import BROKEN, Answer
from runtime.engine.docker.errors import DockerConnectionError, DockerError
from runtime.engine.docker.multiplexed import FrameError, FrameParser, LineParser, Message

Item = TypeVar("Item")
Opener = Callable[[], Awaitable[Answer]]


class AnswerStream(Generic[Item]):
    """An open answer as an async context manager and iterator.

    The request is sent on entering or at the first item. DockerError from either; DockerConnectionError
    when the connection breaks. The end of the answer ends the iteration.
    """

    def __init__(self, opener: Opener, decode: Callable[[bytes], list[Item]], pending: Callable[[], bool]):
        self._opener = opener
        self._decode = decode
        self._pending = pending
        self._ready: list[Item] = []
        self._answer: Answer | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._ready.pop(0)

    async def get(self) -> Item | None:
        """The next item, None at the end (aiodocker's subscriber)."""
        return await anext(self, None)

    async def aclose(self) -> None:
        """Close the connection; nothing is read to the end."""
        self._ended = True
        chunks, self._chunks = self._chunks, None
        answer, self._answer = self._answer, None
        with anyio.CancelScope(shield=True):
            if answer is not None:
                await answer.aclose()
            if chunks is not None:
                await _unwind(chunks)

    async def _open(self) -> Answer:
        if self._answer is None:
            self._answer = await self._opener()
        return self._answer

    async def _read(self) -> None:
        answer = await self._open()
        if self._chunks is None:
            self._chunks = answer.chunks()
        try:
            chunk = await anext(self._chunks, None)
            self._ready = self._decode(chunk) if chunk else []
        except BROKEN as error:
            await self.aclose()
            raise DockerConnectionError(f"the engine's answer broke off: {error}") from error
        except (FrameError, msgspec.DecodeError) as error:
            await self.aclose()
            raise DockerConnectionError(f"the engine's answer makes no sense: {error}") from error
        except BaseException:
            await self.aclose()
            raise
        if chunk is None:
            await self.aclose()
            if self._pending():
                raise DockerConnectionError("the engine's answer broke off")


async def _unwind(chunks: AsyncIterator[bytes]) -> None:
    """End the nested generators of a closed answer by reading from it.

    Closing the outermost leaves some of them to the garbage collector, which trio reports. Reading from the closed
    connection ends all of them, inside out.
    """
    with suppress(*BROKEN):
        async for _ in chunks:
            continue


def json_stream(opener: Opener) -> AnswerStream[dict[str, Any]]:
    """One JSON document a line. An `error` document (a failed pull) is raised as DockerError(500)."""
    lines = LineParser()

    def decode(chunk: bytes) -> list[dict[str, Any]]:
        documents = [msgspec.json.decode(line) for line in lines.feed(chunk) if line.strip()]
        for document in documents:
            if isinstance(document.get("error"), str):
                raise DockerError(500, document["error"])
        return documents

    return AnswerStream(opener, decode, lambda: False)


def frame_stream(opener: Opener) -> AnswerStream[Message]:
    """Multiplexed stdout and stderr."""
    frames = FrameParser()
    return AnswerStream(opener, frames.feed, lambda: frames.pending)


def raw_stream(opener: Opener) -> AnswerStream[Message]:
    """A tty's output, or a file's bytes: no frames, all of it stdout."""
    return AnswerStream(opener, lambda chunk: [Message(1, chunk)], lambda: False)
