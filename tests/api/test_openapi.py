"""The document says what the API does: OpenAPI 3.1.0, JSON Schema 2020-12."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from api.openapi.document import build
from api.openapi.examples import example_of
from api.route import Route
from api.routes import all_routes

ROUTES = all_routes()
DOCUMENT = build(ROUTES, version="1")


def refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in refs(item)]
    if isinstance(value, list):
        return [ref for item in value for ref in refs(item)]
    return []


def test_every_route_is_there_and_nothing_is_referred_to_that_is_not() -> None:
    operations = {(m.upper(), path) for path, item in DOCUMENT["paths"].items() for m in item}
    assert operations == {(route.method, route.path) for route in ROUTES}
    for ref in refs(DOCUMENT):
        node = DOCUMENT
        for step in ref.removeprefix("#/").split("/"):
            node = node[step]
    ids = [o["operationId"] for item in DOCUMENT["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_examples_are_valid(route: Route) -> None:
    for kind in (route.body, route.answer, route.listing and route.listing.item):
        if kind is not None:
            msgspec.convert(example_of(kind), kind)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.access], ids=lambda route: route.name)
def test_every_operation_says_what_it_needs(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation.get("x-permission", "") == route.permission
    assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == set(
        re.findall(r"\{(\w+)\}", route.path)
    )


async def test_it_is_served_to_all_and_the_page_needs_nothing_else(world: Any, make_client: Any) -> None:
    anybody = world.app.test_client()
    answer = await anybody.get("/api/openapi.json")
    assert (await answer.get_json())["openapi"] == "3.1.0"
    page = await (await anybody.get("/api/docs")).get_data(as_text=True)
    assert page.count("<details>") == len(ROUTES)
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
