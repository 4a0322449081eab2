"""``hivemind volume …``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hivemind.cli.backup_schedule import backup_schedule
from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

_COLUMNS = {
    "NAME": "name",
    "TYPE": "type",
    "SIZE": "size",
    "NODE": "node_id",
    "USED BY": "used_by",
    "CREATED": "created_at",
}


@click.group()
def volume() -> None:
    """Named volumes."""


volume.add_command(backup_schedule)


add_list(volume, "/volumes", "volumes", _COLUMNS, "List the volumes.")
add_request(volume, "info", "GET", "/volumes/{name}", "Show one volume.")


@volume.command()
@click.argument("name")
@click.option("--type", "kind", default="local", show_default=True, help="local, hostpath, nfs, network or ephemeral.")
@click.option("--namespace", help="The namespace that it belongs to, for good (default: default).")
@click.option("--size", help="Such as 10G.")
@click.option("--node", help="Where a local or hostpath one shall be.")
@click.option("--path", help="The host's directory, or the server's exported one.")
@click.option("--from-server", help="The server of an nfs or network one.")
@click.option("--filesystem", help="What a network one is mounted as, such as cifs.")
@click.option("--mount-options", help="For mount(8), such as nfsvers=4,soft.")
@click.option(
    "--without-quota", type=click.Choice(["warn", "refuse"]), help="Where no quota can hold its size (default: warn)."
)
@session_options
def create(session: Session, name: str, kind: str, **options: str | None) -> None:
    """Make a volume."""
    options["server"] = options.pop("from_server")
    given = {key: value for key, value in options.items() if value is not None}
    body: dict[str, Any] = {"name": name, "type": kind, **given}
    show(session.output, session.run(lambda client: client.post("/volumes/create", body)))


@volume.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while containers use it.")
@session_options
def delete(session: Session, name: str, force: bool) -> None:
    """Delete a volume and what is in it."""
    body = {"name": name, "force": force}
    show(session.output, session.run(lambda client: client.post("/volumes/delete", body)))


add_request(volume, "usage", "GET", "/volumes/{name}/usage", "How much is in it, and where.")


@volume.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--compression", type=click.Choice(["zstd", "gzip"]), default="zstd", show_default=True)
@click.option("--passphrase-file", type=click.Path(exists=True, path_type=Path), help="Encrypt by what it holds.")
@session_options
def backup(session: Session, name: str, file: Path, compression: str, passphrase_file: Path | None) -> None:
    """Write all that is in it to FILE, a compressed tar."""
    from hivemind.cli.volume_files import write_backup

    size = session.run(lambda client: write_backup(client, name, file, compression, passphrase_file))
    click.echo(f"{file}: {size} bytes")


@volume.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--node", help="Where a volume that has no data yet, or whose node is gone, shall be.")
@click.option("--passphrase-file", type=click.Path(exists=True, path_type=Path), help="What it was encrypted by.")
@session_options
def restore(session: Session, name: str, file: Path, node: str | None, passphrase_file: Path | None) -> None:
    """Replace all that is in it by what FILE holds."""
    from hivemind.cli.volume_files import restore_from

    show(session.output, session.run(lambda client: restore_from(client, name, file, node, passphrase_file)))


@volume.command()
@click.argument("name")
@click.argument("new_name")
@session_options
def clone(session: Session, name: str, new_name: str) -> None:
    """Make NEW_NAME, a copy of it on the same node."""
    show(session.output, session.run(lambda client: client.post(f"/volumes/{name}/clone", {"name": new_name})))


@volume.command()
@click.argument("name")
@click.argument("snapshot_name")
@session_options
def snapshot(session: Session, name: str, snapshot_name: str) -> None:
    """Keep it as it is now under SNAPSHOT_NAME, which nobody writes to."""
    body = {"name": snapshot_name}
    show(session.output, session.run(lambda client: client.post(f"/volumes/{name}/snapshots", body)))


@volume.command()
@click.argument("name")
@session_options
def snapshots(session: Session, name: str) -> None:
    """List its snapshots, oldest first."""
    show(session.output, all_rows(session, f"/volumes/{name}/snapshots", "snapshots"), _COLUMNS)


@volume.command()
@click.argument("name")
@click.argument("snapshot_name")
@session_options
def rollback(session: Session, name: str, snapshot_name: str) -> None:
    """Make it as it was when SNAPSHOT_NAME was taken."""
    body = {"snapshot": snapshot_name}
    show(session.output, session.run(lambda client: client.post(f"/volumes/{name}/rollback", body)))


@volume.command()
@click.argument("name")
@click.argument("node")
@session_options
def move(session: Session, name: str, node: str) -> None:
    """Move it to NODE, while no container mounts it."""
    show(session.output, session.run(lambda client: client.post(f"/volumes/{name}/move", {"node": node})))
