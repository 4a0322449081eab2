"""A registry is waited for some seconds, once; what the engine says of it is passed on."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from api.deps import ImageUnresolved
from consensus.model.image import ImageFound
from hivemind.image_resolver import ANSWER_TIMEOUT_S, SILENCE_S, ImageResolver
from runtime.engine.errors import EngineUnavailable, ImageNotFound
from tests.runtime.fake_engine import FakeEngine

FOUND = ImageFound("sha256:" + "1" * 64, ["amd64"])


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def resolver(engine: FakeEngine) -> ImageResolver:
    return ImageResolver(engine, now_s=trio.current_time)


async def test_the_engines_word_is_passed_on(engine: FakeEngine, resolver: ImageResolver) -> None:
    assert await resolver("busybox:local") is None
    engine.registry["web:1"] = FOUND
    assert await resolver("web:1") == FOUND
    for error in (ImageNotFound("manifest unknown"), EngineUnavailable("no answer")):
        engine.registry["web:1"] = error
        with pytest.raises(ImageUnresolved, match=str(error)):
            await resolver("web:1")


async def test_a_silent_registry_is_waited_for_once(
    autojump_clock: trio.testing.MockClock, engine: FakeEngine, resolver: ImageResolver
) -> None:
    engine.registry["quay.io/web:1"] = None
    engine.registry_s = 3600.0
    began_s = trio.current_time()
    with pytest.raises(ImageUnresolved, match=r"registry quay\.io did not answer within 5 s"):
        await resolver("quay.io/web:1")
    assert trio.current_time() - began_s == pytest.approx(ANSWER_TIMEOUT_S)
    with pytest.raises(ImageUnresolved, match="a moment ago"):
        await resolver("quay.io/other:2")
    assert trio.current_time() - began_s == pytest.approx(ANSWER_TIMEOUT_S)
    assert engine.count("look_up") == 1
    engine.registry_s, engine.registry["web:1"] = 0.0, FOUND
    assert await resolver("web:1") == FOUND
    await trio.sleep(SILENCE_S)
    engine.registry["quay.io/web:1"] = FOUND
    assert await resolver("quay.io/web:1") == FOUND
