"""Compares an answer with the reference's example: every field there, each of the example's type."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
USERS_OWN = frozenset({"env", "environment", "labels", "tags", "build_args", "values"})
"""Mappings whose keys are the user's: only the kind of their values is the reference's."""


class Allowed(Struct, frozen=True):
    """Paths (`containers[].health.last_check`) where the answer may differ, and how."""

    nullable: Collection[str] = ()
    empty: Collection[str] = ()
    numbers: Collection[str] = ()


def differences(example: Any, answer: Any, allowed: Allowed, path: str = "") -> Iterator[str]:
    """What is wrong with `answer`, each with its path; nothing where it conforms. More fields than shown are fine."""
    if example is None:
        if not (answer is None or isinstance(answer, str)):
            yield f"{path}: expected null or a text, got {answer!r}"
    elif answer is None:
        if path not in allowed.nullable:
            yield f"{path}: expected {_kind(example)}, got null"
    elif isinstance(example, dict):
        yield from _mapping(example, answer, allowed, path)
    elif isinstance(example, list):
        yield from _list(example, answer, allowed, path)
    else:
        yield from _scalar(example, answer, allowed, path)


def _mapping(example: dict[str, Any], answer: Any, allowed: Allowed, path: str) -> Iterator[str]:
    if not isinstance(answer, dict):
        yield f"{path}: expected an object, got {answer!r}"
    elif path.rpartition(".")[2] in USERS_OWN:
        for key, value in answer.items():
            yield from differences(next(iter(example.values()), ""), value, allowed, f"{path}.{key}")
    else:
        for key, value in example.items():
            inner = f"{path}.{key}" if path else key
            if key not in answer:
                yield f"{inner}: missing"
            else:
                yield from differences(value, answer[key], allowed, inner)


def _list(example: list[Any], answer: Any, allowed: Allowed, path: str) -> Iterator[str]:
    if not isinstance(answer, list):
        yield f"{path}: expected a list, got {answer!r}"
        return
    if example and not answer and path not in allowed.empty:
        yield f"{path}: expected items, got none"
    # Where the example shows items of several kinds, an item is of the kind that it is nearest to.
    for item in answer if example else ():
        yield from min((list(differences(each, item, allowed, f"{path}[]")) for each in example), key=len)


def _scalar(example: Any, answer: Any, allowed: Allowed, path: str) -> Iterator[str]:
    wrong = f"{path}: expected {_kind(example)}, got {answer!r}"
    if isinstance(example, bool) or isinstance(answer, bool):
        if type(example) is not type(answer):
            yield wrong
    elif isinstance(example, float) or (isinstance(example, int) and path in allowed.numbers):
        if not isinstance(answer, int | float):
            yield wrong
    elif not isinstance(answer, type(example)) or (
        isinstance(example, str) and TIMESTAMP.fullmatch(example) and not TIMESTAMP.fullmatch(answer)
    ):
        yield wrong


def _kind(example: Any) -> str:
    if isinstance(example, str) and TIMESTAMP.fullmatch(example):
        return "a timestamp"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names[type(example)]
