"""A daemon whose engine is in memory: `python -m tests.support.light_daemon daemon …`.

With PLACED_FILE and PLACED_TASKS in the environment it writes the Unix time at which its replica first had so many
tasks, and none without a node. With PROFILE_FILE it is profiled (cProfile), which slows it down to about a half.
"""

from __future__ import annotations

import cProfile
import os
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

import hivemind.run
from hivemind.cli.main import main
from hivemind.daemon import Daemon
from tests.runtime.fake_engine import FakeEngine

_init = Daemon.__init__


async def _select_engine(*_: Any, **__: Any) -> FakeEngine:
    engine = FakeEngine()
    engine.start_s = 0.0
    return engine


def _watched(self: Daemon, *arguments: Any, **options: Any) -> None:
    _init(self, *arguments, **options)
    machine, wanted = self.machine, int(os.environ["PLACED_TASKS"])
    path = Path(os.environ["PLACED_FILE"].format(node=self.node_id))

    def look(apps: Set[str]) -> None:
        state = machine.state
        if len(state.tasks) >= wanted and not state.unplaced_task_ids and not path.exists():
            path.write_text(repr(time.time()))

    machine.on_touch(look)


if __name__ == "__main__":
    hivemind.run.select_engine = _select_engine  # type: ignore[attr-defined]
    if "PLACED_FILE" in os.environ:
        Daemon.__init__ = _watched  # type: ignore[method-assign]
    if profile := os.environ.get("PROFILE_FILE"):
        cProfile.run("main()", profile.format(pid=os.getpid()))
    else:
        main()
