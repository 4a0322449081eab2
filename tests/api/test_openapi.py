"""The document says what the API does: OpenAPI 3.1.0, JSON Schema 2020-12."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from api.answer import JSON
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


def contents(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body of JSON that an operation takes or gives in a success, with what the document says of it."""
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    if "requestBody" in operation:
        yield "request", operation["requestBody"]["content"][JSON]
    for status, response in operation["responses"].items():
        if JSON in response.get("content", {}):
            yield status, response["content"][JSON]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_body_has_an_example_that_its_schema_allows(route: Route) -> None:
    """JSON Schema 2020-12, as OpenAPI 3.1 uses it."""
    told = [name for name, _ in contents(route)]
    assert ("request" in told) is (route.body is not None)
    assert str(route.status) in told or route.media_type != JSON
    for name, content in contents(route):
        validator = Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]})
        problems = [f"{name} {error.json_path}: {error.message}" for error in validator.iter_errors(content["example"])]
        assert not problems


@pytest.mark.parametrize("route", [r for r in ROUTES if r.body is not None], ids=lambda route: route.name)
def test_an_example_of_a_body_means_something(route: Route) -> None:
    """It would not be refused for what its types cannot say."""
    body = msgspec.convert(example_of(route.body), route.body)
    if hasattr(body, "problems"):
        assert list(body.problems()) == []


async def test_it_is_served_to_all_and_the_page_needs_nothing_else(world: Any, make_client: Any) -> None:
    anybody = world.app.test_client()
    answer = await anybody.get("/api/openapi.json")
    assert (await answer.get_json())["openapi"] == "3.1.0"
    page = await (await anybody.get("/api/docs")).get_data(as_text=True)
    assert page.count("<details>") == len(ROUTES)
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
