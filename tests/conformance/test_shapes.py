"""The comparison itself: what it lets pass, and what it names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.shapes import Allowed, differences

EXAMPLE: dict[str, Any] = {
    "id": "a",
    "at": "2025-06-01T12:00:00Z",
    "count": 1,
    "share": 0.5,
    "on": True,
    "note": None,
    "env": {"A": "b"},
    "items": [{"port": 80, "names": ["x"]}],
}
GOOD: dict[str, Any] = {
    **EXAMPLE,
    "share": 1,
    "env": {"OTHER": "c"},
    "more": 1,
    "items": [{"port": 1, "names": ["y", "z"]}] * 2,
}


def _found(answer: Any, **allowed: Any) -> list[str]:
    return list(differences(EXAMPLE, answer, Allowed(**allowed)))


def test_more_and_other_values_conform() -> None:
    assert _found(GOOD) == []


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("id", 1, "id"),
        ("id", None, "id"),
        ("at", "yesterday", "at"),
        ("at", "2025-06-01T12:00:00+02:00", "at"),
        ("count", 1.5, "count"),
        ("count", True, "count"),
        ("count", "1", "count"),
        ("share", "0.5", "share"),
        ("on", 1, "on"),
        ("note", 1, "note"),
        ("env", {"A": 1}, "env.A"),
        ("env", ["A"], "env"),
        ("items", [], "items"),
        ("items", {}, "items"),
        ("items", [{"port": 80}], "items[].names"),
        ("items", [{"port": 80, "names": [1]}], "items[].names[]"),
        ("items", [*GOOD["items"], {"port": "80", "names": ["x"]}], "items[].port"),
    ],
)
def test_what_differs_is_named(field: str, value: Any, path: str) -> None:
    found = _found({**GOOD, field: value})
    assert [each.partition(":")[0] for each in found] == [path]


def test_a_missing_field_is_named() -> None:
    assert _found({key: value for key, value in GOOD.items() if key != "count"}) == ["count: missing"]


def test_what_is_allowed() -> None:
    answer = {**GOOD, "id": None, "count": 1.5, "items": []}
    assert _found(answer, nullable=["id"], numbers=["count"], empty=["items"]) == []


def test_an_item_is_of_one_of_the_kinds_shown() -> None:
    example = {"items": [{"a": 1, "b": 1}, {"c": "x"}]}
    assert list(differences(example, {"items": [{"c": "y"}, {"a": 2, "b": 3}]}, Allowed())) == []
    assert list(differences(example, {"items": [{"a": 2, "d": 3}]}, Allowed())) == ["items[].b: missing"]
