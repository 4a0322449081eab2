"""Which containers run on which engine, from the engines' own events: the one end criterion for all contenders."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.support.engine_api import NOT_UP, EngineApi

_RECONNECT_S = 0.05
_EVENTS = quote(json.dumps({"type": ["container"], "event": ["start", "die"]}))


class NotInTime(RuntimeError):
    """What was waited for did not come; the message has what was there instead."""


class Tally:
    """Running containers by engine. Pure; times are the engines' (Unix seconds)."""

    def __init__(self, engines: Iterable[str]) -> None:
        self._running: dict[str, set[str]] = {engine: set() for engine in engines}
        self.last_change_s = 0.0
        self.changes = 0

    def event(self, engine: str, document: Mapping[str, Any]) -> None:
        """One document of GET /events; the stream of an engine may repeat what a listing told already."""
        running, container_id = self._running[engine], document["id"]
        if (container_id in running) == (document["status"] == "start"):
            return
        running ^= {container_id}
        self.changes += 1
        # Streams of several engines arrive in any order: the state is as old as its newest part.
        self.last_change_s = max(self.last_change_s, document["timeNano"] / 1e9)

    def listed(self, engine: str, container_ids: Iterable[str], now_s: float) -> None:
        """What a listing shows in place of everything told before: of an engine that was (or is) away."""
        ids = set(container_ids)
        if ids != self._running[engine]:
            self._running[engine] = ids
            self.changes += 1
            self.last_change_s = max(self.last_change_s, now_s)

    def count(self, engines: Iterable[str]) -> int:
        return sum(len(self._running[engine]) for engine in engines)

    def ids(self) -> set[str]:
        """Of all that run, on any engine."""
        return set().union(*self._running.values())


class RunningContainers:
    """Follows the events of several engines, each in a thread, also over an engine's death and return.

    Use it in a `with`. `engines` maps a name to its docker_host.
    """

    def __init__(self, engines: Mapping[str, str]) -> None:
        self._engines = {name: EngineApi(docker_host) for name, docker_host in engines.items()}
        self._tally = Tally(engines)
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=(name,), daemon=True) for name in engines]

    def wait_for(self, count: int, timeout_s: float, engines: Iterable[str] | None = None) -> float:
        """Returns the engines' time (Unix seconds) at which exactly `count` containers ran. Raises NotInTime."""
        names = list(engines or self._engines)
        return self.wait_until(lambda tally: tally.count(names) == count, timeout_s, f"{count} containers")

    def wait_until(self, done: Callable[[Tally], bool], timeout_s: float, wanted: str) -> float:
        """Returns the engines' time (Unix seconds) at which `done` held. Raises NotInTime, which names `wanted`."""
        with self._changed:
            if not self._changed.wait_for(lambda: done(self._tally), timeout_s):
                raise NotInTime(f"{len(self._tally.ids())} containers run after {timeout_s:g} s, not {wanted}")
            return self._tally.last_change_s

    def ids(self) -> set[str]:
        """Of all that run now."""
        with self._changed:
            return self._tally.ids()

    def changes(self) -> int:
        """How often a container came or went so far."""
        with self._changed:
            return self._tally.changes

    def count(self, engines: Iterable[str]) -> int:
        """How many run on these engines now."""
        with self._changed:
            return self._tally.count(engines)

    def wait_empty(self, timeout_s: float) -> None:
        """Until the engines have no container at all, running or not. Raises NotInTime."""
        deadline_s = time.monotonic() + timeout_s
        while any(engine.containers({}) for engine in self._engines.values()):
            if time.monotonic() > deadline_s:
                raise NotInTime(f"containers are left {timeout_s:g} s after their removal was asked for")
            time.sleep(_RECONNECT_S)

    def _follow(self, name: str) -> None:
        while not self._closed.is_set():
            try:
                self._follow_once(name)
            except NOT_UP:
                self._note(lambda: self._tally.listed(name, (), time.time()))
            self._closed.wait(_RECONNECT_S)

    def _follow_once(self, name: str) -> None:
        engine = self._engines[name]
        stream = engine.connect(timeout_s=None)
        try:
            stream.request("GET", f"/events?filters={_EVENTS}")
            answer = stream.getresponse()
            found = engine.containers({}, stopped=False)
            self._note(lambda: self._tally.listed(name, found, time.time()))
            while line := answer.readline():
                document = json.loads(line)
                self._note(lambda document=document: self._tally.event(name, document))
            raise ConnectionResetError(f"{name} ended its event stream")
        finally:
            stream.close()

    def _note(self, change: Any) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
