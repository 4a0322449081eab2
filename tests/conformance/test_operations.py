"""Every operation of the reference against a live cluster: its success, its parameters, its refusals."""

from __future__ import annotations

import pytest

from tests.conformance import checks
from tests.conformance.cases import Operation, operations
from tests.conformance.missing import NAMES
from tests.conformance.world import World

THERE = [operation for operation in operations() if operation.name not in NAMES and not operation.live.stream]
AWAITED = [operation for operation in operations() if operation.name in NAMES]


def _each(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[case.name for case in cases])


@_each(THERE)
def test_the_example_succeeds_with_every_field(world: World, operation: Operation, found: dict[str, str]) -> None:
    found[operation.name] = "wrong"
    problems = checks.success(world, operation)
    assert not problems, "\n".join(problems)
    found[operation.name] = "conforms"


@_each(THERE)
def test_query_parameters(world: World, operation: Operation, found: dict[str, str]) -> None:
    _all_right(checks.parameters(world, operation), operation, found)


@_each(THERE)
def test_refusals(world: World, operation: Operation, found: dict[str, str]) -> None:
    _all_right(checks.refusals(world, operation), operation, found)


@_each(AWAITED)
def test_what_is_missing_is_absent_or_right(world: World, operation: Operation, found: dict[str, str]) -> None:
    """An operation that is claimed to be there must be all of it."""
    answer = world.ask(operation.method, world.path(operation), body=world.body(operation))
    if world.is_absent(operation, answer):
        found[operation.name] = "missing"
        return
    found[operation.name] = "wrong"
    problems = checks.everything(world, operation)
    assert not problems, "\n".join(problems)
    found[operation.name] = "conforms"


def _all_right(problems: list[str], operation: Operation, found: dict[str, str]) -> None:
    if problems:
        found[operation.name] = "wrong"
    assert not problems, "\n".join(problems)
