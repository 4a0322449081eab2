"""Exit codes, and the one place where an error becomes one."""

from __future__ import annotations

import enum
import sys
from typing import Any

import click

from hivemind.client import ApiError, ClientError, ServerUnreachable
from hivemind.exception_groups import first_error


class Exit(enum.IntEnum):
    GENERAL = 1
    USAGE = 2
    CONNECTION = 3
    AUTHENTICATION = 4
    PERMISSION = 5
    NOT_FOUND = 6
    CONFLICT = 7


_BY_STATUS = {
    401: Exit.AUTHENTICATION,
    403: Exit.PERMISSION,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
}


def exit_code(error: ClientError) -> Exit:
    if isinstance(error, ServerUnreachable):
        return Exit.CONNECTION
    if isinstance(error, ApiError):
        return _BY_STATUS.get(error.status, Exit.GENERAL)
    return Exit.GENERAL


class ExitCodes(click.Group):
    """The outermost group: says what went wrong on standard error and exits with its code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            problem = error
        except BaseExceptionGroup as group:
            first = first_error(group)
            if isinstance(first, BrokenPipeError) and group.split(BrokenPipeError)[1] is None:
                # The reader of our output went away, as `| head` does: click ends quietly for a bare one.
                raise first from None
            if not isinstance(first, ClientError) or group.split(ClientError)[1] is not None:
                raise
            problem = first
        click.echo(f"hivemind: {problem}", err=True)
        if isinstance(problem, ApiError) and problem.status == 401:
            click.echo("hivemind: log in with `hivemind login`, or set HIVEMIND_TOKEN", err=True)
        sys.exit(exit_code(problem))
