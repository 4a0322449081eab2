"""Ending what daemons were, and what they leave running on purpose: shims with their tasks, and containers.

`python -m tests.support.leftovers FOLDER DOCKER_HOST [NODE…]` does it for a run that could not (see `reaper`); the
address is empty where there is no engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from runtime.labels import NODE
from tests.support.engine_api import EngineApi
from tests.support.processes import end_processes_of


def end_leftovers(folder: Path, docker_host: str = "", nodes: Iterable[str] = ()) -> None:
    """End the processes of the data-dirs below `folder`, and remove the nodes' containers and volumes."""
    end_processes_of(folder)
    if docker_host:
        engine = EngineApi(docker_host)
        for node in nodes:
            engine.remove_containers({NODE: node})
            engine.remove_volumes({NODE: node})


if __name__ == "__main__":
    data_dirs, engine_host, *names = sys.argv[1:]
    end_leftovers(Path(data_dirs), engine_host, names)
