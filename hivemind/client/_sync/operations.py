# Made from _async by scripts/sync_client.py; change it there.
"""Any operation, untyped; what the methods of each noun stand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from hivemind.client._sync.transport import SyncTransport
from hivemind.client.answers import page_of
from hivemind.client.models import Page, Scalar

T = TypeVar("T")


class SyncOperations(SyncTransport):
    """Answers the `data` of the envelope."""

    def get(self, path: str, **params: Scalar) -> Any:
        return (self.request("GET", path, params=params)).data

    def post(self, path: str, body: Any = None) -> Any:
        return (self.request("POST", path, body=body)).data

    def put(self, path: str, body: Any = None) -> Any:
        return (self.request("PUT", path, body=body)).data

    def patch(self, path: str, body: Any = None) -> Any:
        return (self.request("PATCH", path, body=body)).data

    def delete(self, path: str, **params: Scalar) -> Any:
        return (self.request("DELETE", path, params=params)).data

    def list_of(self, path: str, key: str, kind: type[T], query: Mapping[str, Scalar]) -> Page[T]:
        return page_of(self.get(path, **query), key, kind)


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left out."""
    return {key: value for key, value in body.items() if value is not None}


def path_part(text: str) -> str:
    """A variable in a path."""
    return quote(text, safe="")
