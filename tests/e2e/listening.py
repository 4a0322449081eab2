"""A client that listens to events over a WebSocket while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio

from hivemind.client.credentials import Basic
from hivemind.client.events import ClientEvent, follow
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

_FROM_THE_FIRST = "another-history.0.0"
"""An id that no cluster knows: answered with all that is remembered, so that the first message comes at once."""


class Listener:
    """Every event after its `with` began, as node `number` sends them; `with` ends it."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self._came: list[ClientEvent] = []
        self._after_index = 0
        self._cluster = cluster
        self._number = number
        self._credentials = Basic("admin", cluster.admin_password)
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"listener-{number}")

    def _run(self) -> None:
        try:
            trio.run(self._follow)
        except BaseException as error:
            self._error = error

    async def _follow(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async for event in follow(self._cluster.node(self._number).url, self._credentials, {}, _FROM_THE_FIRST):
                self._came.append(event)

    @property
    def events(self) -> list[ClientEvent]:
        return [event for event in list(self._came) if event.id and _index(event.id) > self._after_index]

    def wait_for(self, what: str, wanted: Callable[[ClientEvent], bool], timeout_s: float = 30) -> ClientEvent:
        """The first event that came, or comes within the time, and is wanted."""

        def found() -> ClientEvent | None:
            if self._error is not None:
                raise AssertionError(f"the listener ended: {self._error!r}") from self._error
            return next(filter(wanted, self.events), None)

        try:
            event = wait_until(found, timeout_s, f"event {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}; came: {[(event.type, event.data) for event in self.events]}") from error
        assert event is not None
        return event

    def __enter__(self) -> Self:
        with self._cluster.client(self._number) as client:
            self._after_index = int(client.get("/api/nodes").headers["X-Hivemind-Index"])
        self._thread.start()
        wait_until(lambda: self._came or self._error, 15, "the first message over the WebSocket")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None and self._thread.is_alive():
            self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(15)
        assert not self._thread.is_alive(), "the listener does not end"


def _index(event_id: str) -> int:
    return int(event_id.split(".")[1])
