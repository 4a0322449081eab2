"""The cases are complete: every heading of the reference has its operation, its tests, or only introduces others."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.conformance.cases import by_heading, headings, operations
from tests.conformance.missing import MISSING, NAMES

HEADINGS = 99
OPERATIONS = 63


def _test_names() -> set[str]:
    return {
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_heading_is_accounted_for() -> None:
    assert len(headings()) == HEADINGS
    nowhere = [each.heading for each in headings() if not (each.operation or each.tests or each.group)]
    assert not nowhere


def test_every_operation_has_a_case_and_every_case_a_heading() -> None:
    told = {each.heading: each.operation for each in headings() if each.operation}
    cased = {operation.heading: operation.name for operation in operations()}
    assert cased == told
    assert len(operations()) == len(by_heading()) == OPERATIONS


def test_every_test_that_a_heading_names_is_there() -> None:
    named = {name for each in headings() for name in each.tests}
    assert not named - _test_names()


def test_every_operation_is_asked_once() -> None:
    twice = [name for name, count in Counter(operation.name for operation in operations()).items() if count > 1]
    assert not twice


def test_every_case_has_what_it_asks_for() -> None:
    for operation in operations():
        live = operation.live
        variables = {part[1:-1] for part in operation.path.split("/") if part.startswith("{")}
        assert set(live.variables) == variables, operation.name
        assert all(heading in by_heading() for heading in live.given), operation.name
        assert set(live.required) <= set(operation.request or ()), operation.name
        answers = (operation.response, operation.raw, operation.text)
        assert sum(answer is not None for answer in answers) == 1, operation.name
        # A field that may be null says why; so does a list that may be empty.
        assert live.why or not (live.nullable or live.empty), operation.name


def test_what_is_missing_is_in_the_reference() -> None:
    assert {operation.name for operation in operations()} >= NAMES
    assert len(NAMES) == sum(len(names) for names in MISSING.values())
