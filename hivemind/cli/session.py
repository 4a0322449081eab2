"""Which server, as whom, and how to print: the options that every command has."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import trio
from msgspec import Struct

from hivemind.client import Basic, Client, Credentials, Token

DEFAULT_SERVER = "http://127.0.0.1:4483"
T = TypeVar("T")


class Session(Struct, frozen=True):
    """`output`: table, json or yaml."""

    server: str
    token: str | None
    output: str

    @property
    def credentials(self) -> Credentials | None:
        """A token given, else username and password from the environment, else the token that `login` kept."""
        if self.token:
            return Token(self.token)
        username, password = os.environ.get("HIVEMIND_USERNAME"), os.environ.get("HIVEMIND_PASSWORD")
        if username and password:
            return Basic(username, password)
        kept = kept_token()
        return None if kept is None else Token(kept)

    def client(self) -> Client:
        return Client(self.server, credentials=self.credentials)

    def run(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Does `work` with a client under trio and returns what it returns."""

        async def with_client() -> T:
            async with self.client() as client:
                return await work(client)

        return trio.run(with_client)


def token_path() -> Path:
    return Path.home() / ".hivemind/token"


def kept_token() -> str | None:
    try:
        return token_path().read_text().strip() or None
    except FileNotFoundError:
        return None


def keep_token(token: str) -> None:
    """Writes the token so that only this user can read it (0600 from the first byte on)."""
    path = token_path()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    new.rename(path)


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--server``, ``--token`` and ``--output``, and hands the command a Session first."""

    @click.option("--server", envvar="HIVEMIND_SERVER", default=DEFAULT_SERVER, show_default=True, help="Any node.")
    @click.option("--token", envvar="HIVEMIND_TOKEN", help="An API token (default: the one that `login` kept).")
    @click.option("--output", "-o", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
    @functools.wraps(command)
    def with_session(server: str, token: str | None, output: str, **rest: Any) -> Any:
        return command(Session(server, token, output), **rest)

    return with_session
