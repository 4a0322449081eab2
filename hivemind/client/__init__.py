"""The Python client of Hivemind's API: used by the CLI and the tests.

async with Client("http://127.0.0.1:4483", credentials=Token("…")) as client:
    await client.post("/deploy", {"name": "web", "image": "nginx", "replicas": 2})
    async for event in client.events(resources=["app/web"]):
        …
"""

from hivemind.client.client import Client, Response
from hivemind.client.credentials import Basic, Credentials, Token
from hivemind.client.errors import ApiError, ClientError, ServerUnreachable
from hivemind.client.events import ClientEvent

__all__ = [
    "ApiError",
    "Basic",
    "Client",
    "ClientError",
    "ClientEvent",
    "Credentials",
    "Response",
    "ServerUnreachable",
    "Token",
]
