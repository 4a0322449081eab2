"""`docker.events`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.engine.docker.connection import EngineConnection
from runtime.engine.docker.streams import AnswerStream, json_stream


class DockerEvents:
    """What happens in the engine."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    def subscribe(
        self,
        *,
        since: float | str | None = None,
        until: float | str | None = None,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> AnswerStream[dict[str, Any]]:
        """Events as they come: `async with docker.events.subscribe() as events: await events.get()`.

        The engine answers before it has subscribed us: pass `since` (its own clock) to be sure of the first
        moments. Times are Unix seconds. GET /events
        """
        params = {"since": since, "until": until, "filters": filters}
        return json_stream(lambda: self._connection.open("GET", "/events", params=params))
