"""The checker: known histories, and a comparison with trying every order."""

from __future__ import annotations

import itertools
import math
import random

from tests.faults.history import Operation, is_linearizable


def write(value: str, began_s: float, ended_s: float = math.inf) -> Operation:
    return Operation("write", value, began_s, ended_s)


def read(value: str | None, began_s: float, ended_s: float) -> Operation:
    return Operation("read", value, began_s, ended_s)


def test_a_read_after_a_write_sees_it():
    assert is_linearizable([write("a", 0, 1), read("a", 2, 3)])
    assert not is_linearizable([write("a", 0, 1), read(None, 2, 3)]), "a stale read"


def test_a_read_beside_a_write_sees_either():
    assert is_linearizable([write("a", 0, 3), read(None, 1, 2)])
    assert is_linearizable([write("a", 0, 3), read("a", 1, 2)])
    assert not is_linearizable([write("a", 0, 5), read("a", 1, 2), read(None, 3, 4)]), "it went back"


def test_an_unknown_write_may_be_done_any_time_later_or_never():
    assert is_linearizable([write("a", 0), read(None, 1, 2), read("a", 8, 9)])
    assert is_linearizable([write("a", 0), read(None, 1, 2)])
    assert not is_linearizable([write("a", 0), write("b", 1, 2), read("a", 3, 4), read("b", 5, 6)]), "done twice"


def test_it_agrees_with_trying_every_order():
    rng = random.Random(1)
    outcomes = set()
    for _ in range(3000):
        operations = []
        for i in range(rng.randint(2, 6)):
            began_s = rng.uniform(0, 10)
            ended_s = began_s + rng.uniform(0.1, 4)
            if rng.random() < 0.5:
                operations.append(write(str(i), began_s, math.inf if rng.random() < 0.2 else ended_s))
            else:
                operations.append(read(rng.choice([None, *map(str, range(6))]), began_s, ended_s))
        outcomes.add(expected := _by_trying(operations))
        assert is_linearizable(operations) == expected, operations
    assert outcomes == {True, False}


def _by_trying(operations: list[Operation]) -> bool:
    known = [o for o in operations if not math.isinf(o.ended_s)]
    unknown = [o for o in operations if math.isinf(o.ended_s)]
    for count in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, count):
            if any(_explains(order) for order in itertools.permutations([*known, *some])):
                return True
    return False


def _explains(order: tuple[Operation, ...]) -> bool:
    value = None
    for position, operation in enumerate(order):
        if any(later.ended_s < operation.began_s for later in order[position + 1 :]):
            return False
        if operation.kind == "write":
            value = operation.value
        elif operation.value != value:
            return False
    return True
