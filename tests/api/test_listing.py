"""Lists: api_reference.md, "Pagination", "Filtering", "Sorting", "Field Selection"."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from api import listing as lists
from api.errors import InvalidRequest
from api.query import Query
from api.route import Listing
from consensus import commands


class Inner(Struct, frozen=True):
    size: int
    note: str | None


class Part(Struct, frozen=True):
    id: str
    weight: float


class Item(Struct, frozen=True):
    id: str
    rank: int
    ready: bool
    inner: Inner
    labels: dict[str, str]
    parts: list[Part]


LISTING = Listing("items", Item, {"grade": "rank"})


def select(items: list[Any], query: Query, listing: Listing) -> dict[str, Any]:
    """All at once, as `Call.listed` does in slices."""
    request = lists.read(query, listing)
    chosen = lists.in_order([item for item in items if request.wants(item)], request)
    page = chosen[request.offset : request.offset + request.limit]
    return lists.page_of(page, len(chosen), request, listing)


def item(i: int) -> Item:
    note = None if i % 4 == 0 else f"n{i % 3}"
    parts = [Part(f"p{i}", 1.5), Part(f"q{i}", 2.5)]
    return Item(f"i{i:02}", i % 5, i % 2 == 0, Inner(i * 10, note), {"a.b/c": str(i % 2)}, parts)


ITEMS = [item(i) for i in range(20)]


def ask(**parameters: str) -> dict[str, Any]:
    return select(ITEMS, Query(parameters.items()), LISTING)


def ids(answer: dict[str, Any]) -> list[str]:
    return [entry.id for entry in answer["items"]]


@given(limit=st.integers(1, 30), count=st.integers(0, 60))
def test_following_next_offset_sees_everything_once(limit: int, count: int) -> None:
    items = [item(i) for i in range(count)]
    seen, offset = [], 0
    while offset is not None:
        answer = select(items, Query([("limit", str(limit)), ("offset", str(offset))]), LISTING)
        page = answer["pagination"]
        assert (answer["total"], page.total, page.limit, page.offset) == (count, count, limit, offset)
        assert page.prev_offset == (max(0, offset - limit) if offset else None)
        seen += answer["items"]
        offset = page.next_offset
    assert seen == items


def test_the_references_pagination() -> None:
    items = [item(i) for i in range(100)]
    page = select(items, Query([("limit", "10"), ("offset", "20")]), LISTING)["pagination"]
    assert (page.total, page.limit, page.offset, page.next_offset, page.prev_offset) == (100, 10, 20, 30, 10)
    assert select(items, Query([]), LISTING)["pagination"].limit == 100


@given(st.integers(-1, 5), st.sampled_from(["true", "false"]))
def test_filters_compare_by_type_and_narrow_together(rank: int, ready: str) -> None:
    expected = [i.id for i in ITEMS if i.rank == rank and i.ready is (ready == "true")]
    assert ids(ask(grade=str(rank), ready=ready)) == expected


def test_filters_reach_nested_fields_and_keys_of_mappings() -> None:
    assert ids(ask(**{"inner.size": "30"})) == ["i03"]
    assert ids(ask(**{"labels.a.b/c": "1"})) == [i.id for i in ITEMS if i.labels["a.b/c"] == "1"]
    assert ids(ask(**{"inner.note": "n1"})) == [i.id for i in ITEMS if i.inner.note == "n1"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_sort_is_stable_and_leaves_what_has_no_value_for_the_end(order: str) -> None:
    got = ask(sort="inner.note", order=order)["items"]
    notes = [entry.inner.note for entry in got]
    known = [note for note in notes if note is not None]
    assert known == sorted(known, reverse=order == "desc")
    assert notes[len(known) :] == [None] * (len(notes) - len(known))
    for note in set(known):
        same = [entry.id for entry in got if entry.inner.note == note]
        assert same == sorted(same)


def test_fields_may_be_nested_also_in_lists() -> None:
    first = ask(fields="id,inner.size,parts.id,parts.weight,labels.a.b/c", limit="1")["items"][0]
    assert first == {
        "id": "i00",
        "inner": {"size": 0},
        "parts": [{"id": "p0", "weight": 1.5}, {"id": "q0", "weight": 2.5}],
        "labels": {"a.b/c": "0"},
    }
    assert ask(fields="inner", limit="1")["items"] == [{"inner": {"size": 0, "note": None}}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "ten"),
        ("limit", "9" * 5000),
        ("offset", "-1"),
        ("order", "up"),
        ("sort", "colour"),
        ("fields", "id,colour"),
        ("fields", ""),
        ("fields", "id.x"),
        ("colour", "red"),
        ("rank", "first"),
        ("ready", "maybe"),
        ("inner", "x"),
        ("parts", "x"),
    ],
)
def test_bad_values_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        ask(**{name: value})


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
def test_nothing_else_comes_of_any_query(parameters: dict[str, str]) -> None:
    with suppress(InvalidRequest):
        select(ITEMS, Query(parameters.items()), LISTING)


async def test_long_lists_are_made_in_slices_and_come_out_the_same(world: Any, admin: Any) -> None:
    # One log entry makes a part of them; the leader's plans make the rest.
    await world.deploy(replicas=1203, running=False)
    for first in range(1, 1204, 400):
        slots = list(range(first, min(first + 400, 1204)))
        await world.propose(commands.CreateTasks(app="web", slots=slots))
    tasks = sorted(world.machine.state.tasks.values(), key=lambda task: task.slot)
    ids_by_slot = [task.id for task in tasks]
    for query in ("sort=created_at", "app=web", "app=web&sort=id&order=asc", "order=desc", ""):
        expected = list(ids_by_slot)
        if "sort=id" in query:
            expected.sort()
        if query == "order=desc":
            expected.reverse()
        data = await admin.get(f"/containers?limit=500&offset=400&fields=id&{query}")
        assert [c["id"] for c in data["containers"]] == expected[400:900], query
        assert data["pagination"] == {
            "total": 1203,
            "limit": 500,
            "offset": 400,
            "next_offset": 900,
            "prev_offset": 0,
        }
