"""The Python client of Hivemind's API: used by the CLI and the tests.

async with Client("http://10.0.0.1:4483", "http://10.0.0.2:4483", credentials=Token("…")) as client:
    await client.deploy({"name": "web", "image": "nginx", "replicas": 2})
    async for event in client.events(resources=["app/web"]):
        …

The async one runs under trio and asyncio. `SyncClient` has the same methods for programs that wait:

with SyncClient("http://10.0.0.1:4483") as client:
    client.login("admin", "…")
    for app in client.apps(sort="created_at").items:
        …

A request that fails is tried again at the next server. Writes carry an Idempotency-Key, so they are done once.

_async/     transport (requests, failover, streams) and methods (the operations); _sync/ is made from it
failover    whether to try again, where and when        answers, sse    what came, decoded
models      the answers' types                           credentials, errors
trust       whose certificates are accepted
exec        a command in a container (trio only)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hivemind.client.credentials import Basic, Credentials, Token
from hivemind.client.errors import ApiError, ClientError, ServerUnreachable, UnexpectedAnswer

if TYPE_CHECKING:
    from hivemind.client.answers import Response
    from hivemind.client.client import Client, SyncClient
    from hivemind.client.models import Page
    from hivemind.client.sse import ClientEvent

__all__ = [
    "ApiError",
    "Basic",
    "Client",
    "ClientError",
    "ClientEvent",
    "Credentials",
    "Page",
    "Response",
    "ServerUnreachable",
    "SyncClient",
    "Token",
    "UnexpectedAnswer",
]

_MODULES = {"Client": "client", "SyncClient": "client", "ClientEvent": "sse", "Page": "models", "Response": "answers"}


def __getattr__(name: str) -> Any:
    """Imported when they are used: an HTTP library and all the models take longer than ``hivemind --help`` may."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
