"""What is checked of every operation. Each check answers what is wrong, and nothing where all is right."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import httpx2

from tests.conformance.cases import Operation
from tests.conformance.shapes import Allowed, differences
from tests.conformance.world import World

UNKNOWN = "no-such-thing"
NOT_OF_ANY_KIND = {"wrong": {"kind": [None]}}


def success(world: World, operation: Operation) -> list[str]:
    """The example's request gets the promised status, the envelope, and every field of the example's answer."""
    world.prepare(operation)
    answer = _send(world, operation)
    problems = list(_success(world, operation, answer))
    for step in operation.live.after:
        world.ask(step.method, _with_variables(world, operation, step.path), body=step.body)
    return problems


def parameters(world: World, operation: Operation) -> list[str]:
    """Every query parameter is taken and does what it says; bad values and unknown ones are refused by name."""
    if operation.live.stream:
        return []
    world.prepare(operation)
    problems: list[str] = []
    for name, kind in operation.parameters.items():
        problems += _parameter(world, operation, name, kind)
    if operation.method == "GET":
        problems += _refuses(world, operation, {"no_such_parameter": "1"}, "no_such_parameter")
    if operation.list_key is not None:
        problems += _list_conventions(world, operation, operation.list_key)
    return problems


def refusals(world: World, operation: Operation) -> list[str]:
    """What cannot be done is refused with the promised status and code, and with a message that names it."""
    world.prepare(operation)
    problems = [*_who_may(world, operation), *_unknown_things(world, operation), *_bad_bodies(world, operation)]
    for error in operation.live.errors:
        body = world.body(operation) if error.again else world.resolve(error.body)
        answer = world.ask(operation.method, world.path(operation), body=body)
        if error.again and answer.status_code < 300:
            answer = world.ask(operation.method, world.path(operation), body=body)
        problems += refused(answer, error.status, error.code, error.names, f"body {body}")
    return problems


def everything(world: World, operation: Operation) -> list[str]:
    return [*success(world, operation), *parameters(world, operation), *refusals(world, operation)]


def refused(answer: httpx2.Response, status: int, code: str, names: str, asked: str) -> Iterator[str]:
    """The envelope of errors, exactly."""
    if answer.status_code != status:
        yield f"{asked}: expected {status} {code}, got {answer.status_code} {answer.text[:300]}"
        return
    content = answer.json()
    error = content.get("error", {})
    if content.get("success") is not False or set(content) != {"success", "error"}:
        yield f"{asked}: not the envelope of an error: {content}"
    if error.get("code") != code or not isinstance(error.get("message"), str) or not error["message"]:
        yield f"{asked}: expected the code {code} and a message, got {error}"
    elif names not in error["message"]:
        yield f"{asked}: the message does not name {names!r}: {error['message']}"


# -- success


def _send(world: World, operation: Operation, **more: Any) -> httpx2.Response:
    if operation.live.token == "fresh":
        more.setdefault("token", world.log_in("viewer", "correct horse"))
    return world.ask(operation.method, world.path(operation), body=world.body(operation), **more)


def _with_variables(world: World, operation: Operation, path: str) -> str:
    for name, source in operation.live.variables.items():
        path = path.replace(f"{{{name}}}", str(world.resolve(source)))
    return path


def _success(world: World, operation: Operation, answer: httpx2.Response) -> Iterator[str]:
    live = operation.live
    if answer.status_code != live.status:
        yield f"expected {live.status}, got {answer.status_code} {answer.text[:300]}"
        return
    for header in ("X-Hivemind-Index", "X-Hivemind-Leader"):
        if not answer.headers.get(header):
            yield f"no {header}"
    allowed = Allowed(live.nullable, live.empty, live.numbers)
    if operation.text is not None:
        yield from _text(operation.text, answer)
        return
    if answer.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        yield f"Content-Type is {answer.headers.get('Content-Type')}"
        return
    content = answer.json()
    if operation.raw is not None:
        yield from differences(operation.raw, content, allowed)
        return
    if content.get("success") is not True or set(content) != {"success", "data"}:
        yield f"not the envelope of a success: {str(content)[:300]}"
        return
    yield from differences(operation.response, content["data"], allowed)
    for field, value in live.echoes.items():
        if content["data"].get(field) != value:
            yield f"{field}: expected {value!r}, got {content['data'].get(field)!r}"


def _text(example: str, answer: httpx2.Response) -> Iterator[str]:
    """Prometheus' text: every line of help and type, and a sample of every metric with the same labels."""
    if not answer.headers["Content-Type"].startswith("text/plain"):
        yield f"Content-Type is {answer.headers['Content-Type']}"
    lines = answer.text.splitlines()
    for line in filter(None, example.splitlines()):
        wanted = line if line.startswith("#") else line.partition(" ")[0]
        found = any(got == wanted or (not line.startswith("#") and got.startswith(f"{wanted} ")) for got in lines)
        if not found and 'status="stopped"' not in wanted:
            yield f"no line {wanted!r}"


# -- parameters


def _parameter(world: World, operation: Operation, name: str, kind: str) -> Iterator[str]:
    value = str(world.resolve(operation.live.values.get(name, "1")))
    answer = _send(world, operation, params={name: value})
    if answer.status_code != operation.live.status:
        yield f"{name}={value}: {answer.status_code} {answer.text[:300]}"
        return
    if kind in ("integer", "boolean"):
        yield from _refuses(world, operation, {name: "some"}, name)
    elif operation.list_key is not None:
        yield from _filters(world, operation, operation.list_key, name, value)


def _filters(world: World, operation: Operation, key: str, name: str, value: str) -> Iterator[str]:
    field = operation.live.fields.get(name, name)
    data = _send(world, operation, params={name: value, "limit": "1000"}).json()["data"]
    everything = _send(world, operation, params={"limit": "1000"}).json()["data"]
    expected = [item for item in everything[key] if field not in item or item[field] == value]
    if data[key] != expected:
        yield f"{name}={value}: expected {len(expected)} items, got {len(data[key])}"
    if not expected and key not in operation.live.empty:
        yield f"{name}={value}: nothing has it, so nothing is shown"
    data = _send(world, operation, params={name: UNKNOWN}).json()["data"]
    if data[key] or data.get("total") != 0:
        yield f"{name}={UNKNOWN}: expected nothing, got {str(data)[:200]}"


def _refuses(world: World, operation: Operation, params: dict[str, str], names: str) -> Iterator[str]:
    answer = _send(world, operation, params=params)
    yield from refused(answer, 400, "invalid_request", names, f"parameters {params}")


def _list_conventions(world: World, operation: Operation, key: str) -> Iterator[str]:
    """Pagination, sorting and field selection hold for all lists (the reference's sections of these names)."""
    data = _send(world, operation).json()["data"]
    items = data[key]
    pages = {"total": data.get("total"), "limit": 100, "offset": 0, "next_offset": None, "prev_offset": None}
    if data.get("total") != len(items) or data.get("pagination") != pages:
        yield f"total is {data.get('total')} and pagination is {data.get('pagination')} for {len(items)} items"
        return
    page = _send(world, operation, params={"limit": "1", "offset": "1"}).json()["data"]
    next_offset = 2 if len(items) > 2 else None
    pages = {"total": len(items), "limit": 1, "offset": 1, "next_offset": next_offset, "prev_offset": 0}
    if page["pagination"] != pages or _names(page[key]) != _names(items[1:2]):
        yield f"limit=1&offset=1: {str(page)[:300]}"
    yield from _refuses(world, operation, {"limit": "0"}, "limit")
    yield from _refuses(world, operation, {"limit": "1001"}, "limit")
    yield from _refuses(world, operation, {"offset": "-1"}, "offset")
    if items:
        yield from _sort_and_fields(world, operation, key, items)


def _sort_and_fields(world: World, operation: Operation, key: str, items: list[dict[str, Any]]) -> Iterator[str]:
    name = next(field for field in ("id", "name") if field in items[0])
    for order, backwards in (("asc", False), ("desc", True)):
        got = _send(world, operation, params={"sort": name, "order": order}).json()["data"][key]
        if [item[name] for item in got] != sorted((item[name] for item in items), reverse=backwards):
            yield f"sort={name}&order={order}: {[item[name] for item in got]}"
    yield from _refuses(world, operation, {"sort": "no_such_field"}, "no_such_field")
    yield from _refuses(world, operation, {"order": "sideways"}, "order")
    chosen = list(items[0])[:2]
    got = _send(world, operation, params={"fields": ",".join(chosen)}).json()["data"][key]
    if [list(item) for item in got] != [chosen] * len(items):
        yield f"fields={','.join(chosen)}: {str(got)[:200]}"
    yield from _refuses(world, operation, {"fields": "no_such_field"}, "no_such_field")


def _names(items: list[dict[str, Any]]) -> list[Any]:
    return [item.get("id", item.get("name")) for item in items]


# -- refusals


def _who_may(world: World, operation: Operation) -> Iterator[str]:
    if operation.live.public:
        return
    path, body = world.path(operation), world.body(operation)
    for token, who in ((None, "nobody"), ("not.a.token", "a bad token")):
        answer = world.ask(operation.method, path, body=body, token=token)
        yield from refused(answer, 401, "authentication_failed", "", who)
    if operation.method != "GET" and not operation.live.viewer:
        answer = world.ask(operation.method, path, body=body, token=world.viewer_token)
        yield from refused(answer, 403, "permission_denied", "", "a viewer")


def _unknown_things(world: World, operation: Operation) -> Iterator[str]:
    for name in operation.live.variables:
        if name == "namespace":
            continue
        path = world.path(operation, **{name: UNKNOWN})
        answer = world.ask(operation.method, path, body=world.body(operation))
        yield from refused(answer, 404, "resource_not_found", UNKNOWN, path)


def _bad_bodies(world: World, operation: Operation) -> Iterator[str]:
    body = world.body(operation)
    if body is None:
        return
    method, path = operation.method, world.path(operation)
    json = {"Content-Type": "application/json"}
    for content in (b"{", b"\xff", b"", b"[]", b"null"):
        answer = world.ask(method, path, content=content, headers=json)
        yield from refused(answer, 400, "invalid_request", "", f"body {content!r}")
    answer = world.ask(method, path, content=b"<a/>", headers={"Content-Type": "application/xml"})
    yield from refused(answer, 415, "unsupported_media_type", "", "a body of XML")
    if not operation.live.open:
        answer = world.ask(method, path, body={**body, "no_such_field": 1})
        yield from refused(answer, 400, "invalid_request", "no_such_field", "an unknown field")
    for field in operation.live.required:
        answer = world.ask(method, path, body={key: value for key, value in body.items() if key != field})
        yield from refused(answer, 400, "invalid_request", field, f"a body without {field}")
    for field, broken in _broken(body, operation.live.own):
        answer = world.ask(method, path, body=broken)
        yield from refused(answer, 400, "invalid_request", field, f"a wrong {field}")


def _broken(value: Any, own: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """The body with one field after the other of a wrong kind, also inside of objects and lists."""
    for key, item in value.items():
        wrong: Any = NOT_OF_ANY_KIND if not isinstance(item, dict | list) else "not of this kind"
        yield key, {**value, key: wrong}
        if key in own:
            continue
        if isinstance(item, dict):
            for _, broken in _broken(item):
                yield key, {**value, key: broken}
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            for _, broken in _broken(item[0]):
                yield key, {**value, key: [broken, *item[1:]]}
