"""A volume's data is never replaced under a container, whichever of both comes first.

The race: an app is scaled up while its volume is being restored. Docker mounts the directory that is there when the
container starts, so one that started before the end kept the old data, and what it wrote was lost.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from runtime import labels
from runtime.volumes.errors import VolumeBusy
from runtime.volumes.uses import VolumeUses


class Found(Struct):
    status: str
    labels: dict[str, str]


class PlayedEngine:
    def __init__(self) -> None:
        self.found: list[Found] = []

    async def list(self, own: Any) -> list[Found]:
        return self.found


@pytest.fixture
def engine() -> PlayedEngine:
    return PlayedEngine()


@pytest.fixture
def uses(engine: PlayedEngine) -> VolumeUses:
    given: Any = engine
    return VolumeUses(given, {}, lambda task_id: {"web.1": ["v", "w"]}.get(task_id, []))


async def test_nothing_starts_while_it_is_replaced(uses: VolumeUses) -> None:
    with uses.replacing("v"):
        await uses.refuse_users("v")
        with (
            pytest.raises(VolumeBusy, match="waits for volume 'v', which is being restored"),
            uses.starting(["w", "v"]),
        ):
            pass
        with uses.starting(["w"]):
            pass
    with uses.starting(["w", "v"]):
        pass


async def test_it_is_not_replaced_while_one_starts(uses: VolumeUses) -> None:
    with uses.starting(["v"]), uses.replacing("v"), pytest.raises(VolumeBusy, match="is being started"):
        await uses.refuse_users("v")
    with uses.replacing("v"):
        await uses.refuse_users("v")


@pytest.mark.parametrize(("status", "busy"), [("running", True), ("paused", True), ("exited", False)])
async def test_it_is_not_replaced_under_one_that_runs(
    uses: VolumeUses, engine: PlayedEngine, status: str, busy: bool
) -> None:
    engine.found = [Found(status, {labels.TASK: "web.1"}), Found("running", {labels.TASK: "other.1"})]
    with uses.replacing("v"):
        if busy:
            with pytest.raises(VolumeBusy, match=r"used by web\.1: scale its apps to 0"):
                await uses.refuse_users("v")
        else:
            await uses.refuse_users("v")
