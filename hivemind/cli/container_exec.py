"""``hivemind container exec``."""

from __future__ import annotations

import sys

import click

from hivemind.cli.session import Session, session_options


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("--stdin", "-i", "interactive", is_flag=True, help="Hand over this program's standard input.")
@click.option("--tty", "-t", "terminal", is_flag=True, help="With a terminal: this one's size, and all its keys.")
@click.argument("container_id")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@session_options
def exec_command(
    session: Session, container_id: str, command: tuple[str, ...], interactive: bool, terminal: bool
) -> None:
    """Run COMMAND (default: sh) in a container, on whichever node it is, and exit as it does.

    As in: hivemind container exec -it web.1.d05bb500bb sh -c "ls -l"; a -- before COMMAND is allowed.
    """
    # Click leaves it where options may not follow arguments, and people write it from habit.
    command = command[1:] if command[:1] == ("--",) else command
    if terminal and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("--tty needs a terminal as standard input and output")
    # Its WebSockets take a while to import, and no other command needs them.
    from hivemind.cli.exec_terminal import run

    sys.exit(run(session, container_id, command, interactive=interactive, terminal=terminal))
