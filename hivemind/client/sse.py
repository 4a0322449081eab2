"""Server-Sent Events, line by line (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class ClientEvent(Struct, frozen=True):
    """`id` resumes after this event at any node. `type` has underscores; ``gap`` stands for events that are lost."""

    id: str | None
    type: str
    data: dict[str, Any]


class Lines:
    """Takes a stream's lines and gives its events. `last_id` is the place to resume from."""

    def __init__(self, last_id: str | None) -> None:
        self.last_id = last_id
        self._name = ""
        self._data: list[str] = []

    def take(self, line: str) -> ClientEvent | None:
        """The event that `line` completes, if it does."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self.last_id = value
        return None

    def _complete(self) -> ClientEvent | None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        if not data:
            return None
        return ClientEvent(self.last_id, name.replace(".", "_", 1), msgspec.json.decode(data))
