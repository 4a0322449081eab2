"""The API's description: for programs, and for people."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from api.answer import JSON, Raw, encode
from api.call import Call
from api.openapi.document import build
from api.openapi.page import render
from api.route import Access, Route, RouteTable


@lru_cache(maxsize=4)
def _document(table: RouteTable, version: str) -> dict[str, Any]:
    return build(table.routes, version=version)


@lru_cache(maxsize=4)
def _encoded(table: RouteTable, version: str) -> bytes:
    return encode(_document(table, version))


@lru_cache(maxsize=4)
def _page(table: RouteTable, version: str) -> bytes:
    return render(_document(table, version)).encode()


async def get_openapi(call: Call) -> Raw:
    return Raw(_encoded(call.services.table, call.deps.settings.version), JSON)


async def get_docs(call: Call) -> Raw:
    return Raw(_page(call.services.table, call.deps.settings.version), "text/html; charset=utf-8")


ROUTES = (
    Route(
        method="GET",
        path="/openapi.json",
        access=Access.PUBLIC,
        handler=get_openapi,
        enveloped=False,
        batchable=False,
    ),
    Route(method="GET", path="/docs", access=Access.PUBLIC, handler=get_docs, media_type="text/html", batchable=False),
)
