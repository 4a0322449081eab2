"""Any operation, untyped; what the methods of each noun stand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from hivemind.client._async.transport import AsyncTransport
from hivemind.client.answers import page_of
from hivemind.client.models import Page, Scalar

T = TypeVar("T")


class AsyncOperations(AsyncTransport):
    """Answers the `data` of the envelope."""

    async def get(self, path: str, **params: Scalar) -> Any:
        return (await self.request("GET", path, params=params)).data

    async def post(self, path: str, body: Any = None) -> Any:
        return (await self.request("POST", path, body=body)).data

    async def put(self, path: str, body: Any = None) -> Any:
        return (await self.request("PUT", path, body=body)).data

    async def patch(self, path: str, body: Any = None) -> Any:
        return (await self.request("PATCH", path, body=body)).data

    async def delete(self, path: str, **params: Scalar) -> Any:
        return (await self.request("DELETE", path, params=params)).data

    async def list_of(self, path: str, key: str, kind: type[T], query: Mapping[str, Scalar]) -> Page[T]:
        return page_of(await self.get(path, **query), key, kind)


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left out."""
    return {key: value for key, value in body.items() if value is not None}


def path_part(text: str) -> str:
    """A variable in a path."""
    return quote(text, safe="")
