"""Commands of this machine that the overlay is made with."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from runtime.network.overlay.errors import OverlayError


class CommandFailed(OverlayError):
    """It ended with another exit status than 0; in its words."""


async def run(command: Sequence[str], given: str = "", *, name: str = "") -> str:
    """What it writes, when it was given this to read. `name`: what it is called where it fails.

    Raises OverlayError where it cannot be run, CommandFailed.
    """
    try:
        done = await trio.run_process(
            command, stdin=given.encode(), capture_stdout=True, capture_stderr=True, check=False
        )
    except OSError as error:
        raise OverlayError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise CommandFailed(f"{name or command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")
