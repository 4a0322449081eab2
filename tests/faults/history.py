"""Histories of reads and writes of registers, and whether some order explains them.

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of visited
configurations ("Testing for linearizability", 2017): pure, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Operation:
    """`ended_s` is infinite for a write of which nobody knows whether it was done. Written values are unique."""

    kind: Literal["read", "write"]
    value: str | None
    began_s: float
    ended_s: float = math.inf
    where: str = ""


@dataclass
class History:
    """Operations by key."""

    operations: dict[str, list[Operation]] = field(default_factory=dict)

    def add(self, key: str, operation: Operation) -> None:
        self.operations.setdefault(key, []).append(operation)

    def __len__(self) -> int:
        return sum(map(len, self.operations.values()))

    def violations(self) -> list[str]:
        """Keys whose history no order explains."""
        found = []
        for key, operations in self.operations.items():
            if not is_linearizable(operations):
                found.append(f"{key}: {shortest_violation(operations)}")
        return found


def relevant(operations: Iterable[Operation]) -> list[Operation]:
    """Without unknown writes that nobody saw: those explain nothing and forbid nothing."""
    operations = list(operations)
    read = {operation.value for operation in operations if operation.kind == "read"}
    return [o for o in operations if not (o.kind == "write" and math.isinf(o.ended_s) and o.value not in read)]


def is_linearizable(operations: Sequence[Operation], initial: str | None = None) -> bool:
    """Whether some order of the operations, each at a point between its begin and its end, explains every read."""
    ops = sorted(relevant(operations), key=lambda operation: operation.began_s)
    must = sum(1 << i for i, operation in enumerate(ops) if not math.isinf(operation.ended_s))
    seen: set[tuple[int, str | None]] = set()
    stack: list[tuple[int, str | None, int]] = [(0, initial, 0)]
    while stack:
        done, value, first = stack.pop()
        if done & must == must:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        while done >> first & 1:
            first += 1
        # Whoever begins after the first pending end cannot come before it.
        soonest_end_s = math.inf
        candidates = []
        for i in range(first, len(ops)):
            if ops[i].began_s > soonest_end_s:
                break
            if not done >> i & 1:
                candidates.append(i)
                soonest_end_s = min(soonest_end_s, ops[i].ended_s)
        for i in reversed(candidates):
            operation = ops[i]
            if operation.kind == "write":
                stack.append((done | 1 << i, operation.value, first))
            elif operation.value == value:
                stack.append((done | 1 << i, value, first))
    return False


def shortest_violation(operations: Sequence[Operation]) -> str:
    """The shortest beginning of the history that cannot be explained, its last operations in words."""
    ends = sorted({o.ended_s for o in operations if not math.isinf(o.ended_s)})
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if is_linearizable(_until(operations, ends[middle])):
            low = middle + 1
        else:
            high = middle
    last = sorted(_until(operations, ends[low]), key=lambda o: o.began_s)[-12:]
    zero = last[0].began_s
    return "; ".join(f"[{o.began_s - zero:.3f}-{o.ended_s - zero:.3f}] {o.kind} {o.value} at {o.where}" for o in last)


def _until(operations: Sequence[Operation], time_s: float) -> list[Operation]:
    """What was known at `time_s`: writes under way may or may not be done, reads under way say nothing."""
    known = []
    for o in operations:
        if o.ended_s <= time_s:
            known.append(o)
        elif o.began_s <= time_s and o.kind == "write":
            known.append(Operation("write", o.value, o.began_s, math.inf, o.where))
    return known
