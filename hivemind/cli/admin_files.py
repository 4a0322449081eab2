"""``hivemind admin backup | restore | recover | inspect | ca``: what a cluster, or one node, has in files."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from consensus.durable import private_file
from hivemind.cli.exits import Exit
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_OUTPUT = click.option(
    "--output", "-o", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)


def _data_dir(*names: str, required: bool, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        *names, required=required, help=text, type=click.Path(exists=True, file_okay=False, path_type=Path)
    )


@click.command()
@_data_dir("--from", "data_dir", required=False, text="The data-dir of a stopped node, instead of a running cluster.")
@click.option("--stale", is_flag=True, help="Take what the asked node has: also without a leader.")
@_FILE
@session_options
def backup(session: Session, data_dir: Path | None, stale: bool, file: Path) -> None:
    """Write what the cluster has agreed to FILE: of one index, checksummed; sealed secrets stay sealed.

    What only volumes hold is not in it. Keep a copy of one node's data-dir/identity elsewhere: its key opens the sealed
    secrets (`admin restore --key-from`).
    """
    from hivemind.admin import offline, restoring

    try:
        if data_dir is not None:
            offline.back_up(data_dir, file)
            os.chmod(file, 0o600)
        else:
            with private_file(file) as target:
                session.run(lambda client: client.backup(target.write, consistent=not stale))
        about = restoring.describe(file)
    except offline.PROBLEMS as error:
        _fail(error)
    click.echo(f"Wrote the state at index {about['index']} to {file} ({about['apps']} apps, {about['users']} users)")


@click.command()
@_FILE
@click.option("--data-dir", required=True, type=click.Path(file_okay=False, path_type=Path), help="An empty directory.")
@click.option("--name", help="The id of the new cluster's first node (default: made of the host's name).")
@_data_dir("--key-from", required=False, text="The data-dir of a member of the old cluster: opens its sealed secrets.")
@click.option("--reset-admin-password", is_flag=True, help="Give the admin a new password, and print it.")
def restore(file: Path, data_dir: Path, name: str | None, key_from: Path | None, reset_admin_password: bool) -> None:
    """Begin a new cluster with the backup FILE: its first node's DATA_DIR is made, and its daemon can be started.

    Apps, users, services, settings and the rest are as they were; the nodes of old are gone, and what ran on them is
    placed anew. CA, join token and the tokens of logins are new. The old cluster must not run any more where the new
    one publishes its ports.
    """
    from hivemind.admin import offline, restoring
    from hivemind.config import generated_name
    from hivemind.peer.errors import IdentityBroken, IdentityMissing
    from hivemind.settings import NODE_ID

    node_id = name or generated_name(socket.gethostname())
    if not NODE_ID.fullmatch(node_id):
        raise click.BadParameter(f"expected an id of a-z, 0-9, '.' and '-', got {node_id!r}", param_hint="--name")
    try:
        done = restoring.restore(file, data_dir, node_id=node_id, key_from=key_from, reset_admin=reset_admin_password)
    except (*offline.PROBLEMS, IdentityBroken, IdentityMissing) as error:
        _fail(error)
    click.echo(f"Restored {done.apps} apps and {done.users} users of index {done.index} as cluster {done.cluster}.")
    if key_from is None:
        click.echo("Secrets that cluster " + done.previous_cluster + " sealed cannot be opened (see --key-from).")
    click.echo(f"Start it:    hivemind daemon --data-dir {data_dir}")
    click.echo("Add others:  hivemind cluster token")
    if done.admin_password is not None:
        click.echo(f"Admin password (shown only now): {done.admin_password}")


@click.command()
@_data_dir("--from", "data_dir", required=True, text="The data-dir of the stopped node that shall lead.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def recover(data_dir: Path, yes: bool) -> None:
    """After a lost quorum: let the node of --from lead alone, so that others can join it again.

    Choose the node whose log reaches furthest (`hivemind admin inspect`). Kept is all that is in its log, also writes
    that were never acknowledged; lost is what only the others had. None of the others may start again with its old
    files: empty their data-dirs, and join them as new nodes.
    """
    from hivemind.admin import offline

    if not yes:
        click.confirm(f"Make the node in {data_dir} the only voter of its cluster, for good?", abort=True)
    try:
        show("table", offline.recover(data_dir))
    except offline.PROBLEMS as error:
        _fail(error)


@click.command()
@click.argument("path", metavar="FILE|DATA_DIR", type=click.Path(exists=True, path_type=Path))
@_OUTPUT
def inspect(path: Path, output: str) -> None:
    """What is in a backup FILE, or in the DATA_DIR of a stopped node: how far it reaches, who votes, what it holds."""
    from hivemind.admin import offline, restoring

    try:
        show(output, offline.describe(path) if path.is_dir() else restoring.describe(path))
    except offline.PROBLEMS as error:
        _fail(error)


@click.command()
@_data_dir("--data-dir", required=False, text="The data-dir of a node, running or not (default: as of `daemon`).")
def ca(data_dir: Path | None) -> None:
    """Print the certificate of the cluster's CA, by which clients know nodes that run with --tls auto.

    As in: hivemind admin ca > ca.pem; export SSL_CERT_FILE=ca.pem HIVEMIND_SERVER=https://HOST:4483
    """
    from hivemind.config import default_data_dir
    from hivemind.peer.errors import IdentityBroken, IdentityMissing
    from hivemind.peer.identity import Identity

    try:
        identity = Identity.load(data_dir or default_data_dir())
    except (IdentityMissing, IdentityBroken) as error:
        _fail(error)
    else:
        click.echo("".join(identity.ca_pems), nl=False)


def _fail(error: Exception) -> None:
    click.echo(f"hivemind: {error}", err=True)
    sys.exit(Exit.GENERAL)
