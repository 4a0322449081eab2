"""No command or field of one comes without a feature level: an older node would drop it, and its state differ."""

from __future__ import annotations

import msgspec
import pytest

from consensus import features
from tests.consensus.entry_fields import Listed, fields, listed, problems


class Inner(msgspec.Struct):
    kept: int


class Outer(msgspec.Struct):
    inner: list[Inner | None]
    later: int = 0


def _known(level: int) -> dict[str, Listed]:
    return {str(field): Listed(level if field.name == "later" else 1) for field in fields(Outer)}


def test_every_field_has_the_level_that_it_came_with():
    assert list(problems(fields(), listed())) == []


def test_the_lists_reach_into_what_a_field_holds():
    assert [(field.kind, field.name) for field in fields(Outer)] == [
        (Inner, "kept"), (Outer, "inner"), (Outer, "later"),
    ]  # fmt: skip


def test_a_field_that_no_list_has_is_told_how_to_come_in():
    known = _known(1)
    del known[next(name for name in known if name.endswith("later"))]
    (problem,) = problems(fields(Outer), known)
    assert "Outer.later is in no list of fields: enter it in FIELDS_SINCE" in problem


def test_a_field_that_is_gone_is_told():
    (problem,) = problems(fields(Outer), _known(1) | {"consensus.model.Gone.name": Listed(1)})
    assert problem.startswith("consensus.model.Gone.name is gone")


def test_list_and_table_must_agree(monkeypatch: pytest.MonkeyPatch):
    (problem,) = problems(fields(Outer), _known(2))
    assert "Outer.later came with level 2 by the list, with 1" in problem
    monkeypatch.setattr(features, "FIELDS_SINCE", {(Outer, "later"): 2})
    assert list(problems(fields(Outer), _known(2))) == []


def test_what_is_only_kept_needs_no_level():
    known = _known(2)
    known = {name: Listed(told.level, kept=told.level == 2) for name, told in known.items()}
    assert list(problems(fields(Outer), known)) == []


def test_a_struct_that_is_new_counts_with_the_field_that_holds_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "FIELDS_SINCE", {(Outer, "inner"): 2})
    known = {str(field): Listed(1 if field.name == "later" else 2) for field in fields(Outer)}
    (problem,) = problems(fields(Outer), known)
    assert "Outer.inner has no default" in problem, "and nothing of Inner"


def test_a_later_field_has_a_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "FIELDS_SINCE", {(Outer, "inner"): 2})
    known = _known(1) | {str(field): Listed(2) for field in fields(Outer) if field.name == "inner"}
    (problem,) = problems(fields(Outer), known)
    assert "Outer.inner has no default: entries of before level 2 could not be read" in problem
