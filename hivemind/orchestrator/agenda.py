"""When time alone makes something due: by name, so that a round looks only at what is due or was written.

Pure bookkeeping for one term.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class Agenda:
    """Names and the instants (Unix seconds) at which they are to be looked at again."""

    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def note(self, name: str, at_s: float) -> None:
        """Replaces what was noted for `name`; infinity strikes it out."""
        if at_s == float("inf"):
            self._at_s.pop(name, None)
        elif self._at_s.get(name) != at_s:
            self._at_s[name] = at_s
            heapq.heappush(self._heap, (at_s, name))

    def due(self, wall_s: float) -> Iterable[str]:
        """Those whose instant has come; they are struck out."""
        found = []
        while self.next_s <= wall_s:
            _, name = heapq.heappop(self._heap)
            del self._at_s[name]
            found.append(name)
        return found

    @property
    def next_s(self) -> float:
        """The first instant; infinity where there is none."""
        # An entry that was replaced stays in the heap until it comes to the top.
        while self._heap and self._at_s.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")
