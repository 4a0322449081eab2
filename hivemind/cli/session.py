"""Which server, as whom, and how to print: the options that every command has."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource
from msgspec import Struct

from consensus.durable import private_file
from hivemind.client import Basic, Token

if TYPE_CHECKING:
    from hivemind.client import Client, Credentials


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

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.server.split(",") if server.strip()]

    def client(self, *, anonymous: bool = False) -> Client:
        # Imported here, as trio below: who only asks for help must not wait for them.
        from hivemind.client import Client

        return Client(*self.servers, credentials=None if anonymous else self.credentials)

    def run(self, work: Callable[[Client], Awaitable[T]], *, anonymous: bool = False) -> T:
        """Does `work` with a client under trio and returns what it returns."""
        import trio

        async def with_client() -> T:
            async with self.client(anonymous=anonymous) as client:
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
    path = token_path()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with private_file(path) as file:
        file.write(f"{token}\n".encode())


def _check_server(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    for server in (value or "").split(",") if value is not None else ():
        url = urlsplit(server.strip())
        if url.scheme not in ("http", "https") or not url.netloc:
            raise click.BadParameter(f"expected a URL such as {DEFAULT_SERVER}, got {server.strip()!r}")
    return value


_SERVER_HELP = "Any node; several, separated by commas, stand in for each other."
_TOKEN_HELP = "An API token (default: the one that `login` kept)."
_OUTPUTS = click.Choice(["table", "json", "yaml"])


def outer_options(group: Callable[..., Any]) -> Callable[..., Any]:
    """The same options before the command's name: ``hivemind --server … status``."""

    @click.option("--server", callback=_check_server, help=_SERVER_HELP)
    @click.option("--token", help=_TOKEN_HELP)
    @click.option("--output", "-o", type=_OUTPUTS)
    @click.pass_context
    @functools.wraps(group)
    def with_outer(context: click.Context, /, **given: str | None) -> Any:
        context.obj = {name: value for name, value in given.items() if value is not None}
        return group()

    return with_outer


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--server``, ``--token`` and ``--output``, and hands the command a Session first.

    What is given after the command's name counts before what is given in front of it, and both before the environment.
    """

    @click.option(
        "--server",
        envvar="HIVEMIND_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        callback=_check_server,
        help=_SERVER_HELP,
    )
    @click.option("--token", envvar="HIVEMIND_TOKEN", help=_TOKEN_HELP)
    @click.option("--output", "-o", type=_OUTPUTS, default="table", show_default=True)
    @functools.wraps(command)
    def with_session(server: str, token: str | None, output: str, **rest: Any) -> Any:
        context = click.get_current_context()
        chosen = {"server": server, "token": token, "output": output}
        for name, value in (context.find_root().obj or {}).items():
            if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
                chosen[name] = value
        return command(Session(**chosen), **rest)  # type: ignore[arg-type]

    return with_session
