"""The OpenAPI 3.1 document, from the same table and types that route and validate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from api.answer import JSON
from api.errors import ErrorEnvelope
from api.listing import DEFAULT_LIMIT, MAX_LIMIT, Pagination, fields_of
from api.openapi.examples import example_of
from api.query import COMMON
from api.route import Access, Kind, Listing, Parameter, Route

_REF = "#/components/schemas/{name}"
_TYPES: Mapping[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": "string"},
    Kind.INTEGER: {"type": "integer", "minimum": 0},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.TIME: {"type": "string"},
    Kind.DURATION: {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m)?)+$"},
}
_SCALAR_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ERRORS = {
    400: "The request is not valid; the message names the field or parameter.",
    401: "Credentials are missing, wrong or expired.",
    403: "The user lacks a permission; the message says which.",
    404: "There is no such resource.",
    405: "The path does not answer this method.",
    406: "There is no such version of the API.",
    408: "The request took too long to arrive.",
    409: "It conflicts with the current state.",
    412: "The resource has changed since (If-Match).",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "A rate limit is spent; see Retry-After.",
    431: "The head is too large.",
    500: "The node failed; its log says more.",
    503: "There is no leader now, or a node does not answer; see Retry-After.",
    504: "The outcome is not known in time.",
}
_ANSWER_HEADERS = {
    "X-Hivemind-Index": {"description": "the log index that the answer is of", "schema": {"type": "integer"}},
    "X-Hivemind-Leader": {"description": "the leader's id, empty while there is none", "schema": {"type": "string"}},
    "X-Hivemind-Last-Contact-Ms": {
        "description": "how long ago this node heard from a leader",
        "schema": {"type": "integer"},
    },
}


def build(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """The whole document, as JSON has it."""
    table = tuple(routes)
    types: list[Any] = [ErrorEnvelope, Pagination]
    for route in table:
        item = None if route.listing is None else route.listing.item
        types += [kind for kind in (route.body, route.answer, item) if kind is not None]
        types += [kind for _, kind in route.other_answers]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hivemind API",
            "version": version,
            "description": "One node's API; every node answers the same. Changes answer when they are agreed.",
        },
        "servers": [{"url": "/api"}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "a token (JWT) or an API key"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "responses": {f"Error{status}": _error(status, schema_of) for status in _ERRORS},
        },
    }


def _error(status: int, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "description": _ERRORS[status],
        "content": {JSON: {"schema": schema_of[ErrorEnvelope]}},
    }


def _operation(route: Route, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    noun = route.handler.__module__.rpartition(".")[2]
    operation: dict[str, Any] = {
        "operationId": f"{noun}.{route.handler.__name__}",
        "summary": route.handler.__name__.replace("_", " ").capitalize(),
        "tags": [noun],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {
            str(route.status): _success(route, schema_of),
            **({"304": {"description": "It is what the client has already (If-None-Match)."}} if route.reads else {}),
            **{str(status): {"$ref": f"#/components/responses/Error{status}"} for status in _ERRORS},
            **{str(status): _other(route, status, kind, schema_of) for status, kind in route.other_answers},
        },
    }
    if route.access is Access.PUBLIC:
        operation["security"] = []
    elif route.permission:
        operation["x-permission"] = route.permission
        operation["description"] = f"Needs permission `{route.permission}`, which role {route.access.role} has."
    else:
        operation["description"] = "Open to every user."
    if route.body is not None:
        content = {"schema": schema_of[route.body], "example": example_of(route.body)}
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return operation


def _other(route: Route, status: int, kind: Any, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    told = _success(replace(route, answer=kind), schema_of)
    if status in _ERRORS:
        told["description"] = _ERRORS[status]
        content = told["content"][JSON]
        content["schema"] = {"anyOf": [content["schema"], schema_of[ErrorEnvelope]]}
    return told


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    parameters = [_parameter(parameter) for parameter in route.parameters]
    if route.reads:
        parameters += [_parameter(parameter) for parameter in COMMON]
    if route.listing is not None:
        parameters += _listing_parameters(route.listing)
    return parameters


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {"description": parameter.description} if parameter.description else {}
    return {"name": parameter.name, "in": "query", "schema": _TYPES[parameter.kind], **described}


def _listing_parameters(listing: Listing) -> list[dict[str, Any]]:
    scalars = {name: found for name, found in fields_of(listing.item).items() if not found.open}
    names = sorted({*scalars, *listing.aliases})
    own: list[dict[str, Any]] = [
        {"name": "limit", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}},
        {"name": "offset", "schema": {"type": "integer", "minimum": 0, "default": 0}},
        {"name": "sort", "schema": {"type": "string", "enum": names}},
        {"name": "order", "schema": {"type": "string", "enum": ["asc", "desc"]}},
        {"name": "fields", "description": "names, separated by commas; nested ones with dots"},
    ]
    for name in names:
        kind = scalars[listing.aliases.get(name, name)].kind
        own.append({"name": name, "description": "only items with this value", "schema": {"type": _SCALAR_NAMES[kind]}})
    return [{"in": "query", "schema": {"type": "string"}, **parameter} for parameter in own]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    names = {}
    if route.reads:
        names["If-None-Match"] = "an ETag: answer 304 where nothing differs"
    if route.method == "POST" and route.replicated:
        names["Idempotency-Key"] = "a retry with the same key, at any node, acts once and is answered the same"
    if not route.reads and route.subject is not None:
        names["If-Match"] = "the resource's ETag: 412 where it has changed since"
    return [
        {"name": name, "in": "header", "schema": {"type": "string"}, "description": told}
        for name, told in names.items()
    ]


def _success(route: Route, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    headers = {**_ANSWER_HEADERS, **({"ETag": {"schema": {"type": "string"}}} if route.reads else {})}
    told: dict[str, Any] = {"description": "Done.", "headers": headers}
    if route.media_type != JSON:
        told["content"] = {route.media_type: {"schema": {"type": "string"}}}
        return told
    if route.listing is not None:
        data, example = _page(route.listing, schema_of), _page_example(route.listing)
    elif route.answer is not None:
        data, example = schema_of[route.answer], example_of(route.answer)
    else:
        data, example = {"type": "object"}, {}
    told["content"] = {
        JSON: {
            "schema": data if not route.enveloped else _enveloped(data),
            "example": example if not route.enveloped else {"success": True, "data": example},
        },
        **{media_type: {"schema": {"type": "string"}} for media_type in route.streams},
    }
    return told


def _enveloped(data: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["success", "data"],
        "properties": {"success": {"const": True}, "data": data},
    }


def _page(listing: Listing, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    items = {"anyOf": [schema_of[listing.item], {"type": "object", "description": "the selected `fields`"}]}
    return {
        "type": "object",
        "required": [listing.key, "total", "pagination"],
        "properties": {
            listing.key: {"type": "array", "items": items},
            "total": {"type": "integer"},
            "pagination": schema_of[Pagination],
        },
    }


def _page_example(listing: Listing) -> dict[str, Any]:
    pagination = {"total": 1, "limit": DEFAULT_LIMIT, "offset": 0, "next_offset": None, "prev_offset": None}
    return {listing.key: [example_of(listing.item)], "total": 1, "pagination": pagination}
