"""``hivemind volume backup-schedule …``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hivemind.cli.app_spec import given, merge, read_body
from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

if TYPE_CHECKING:
    from hivemind.client import Client

_COLUMNS = {
    "NAME": "name",
    "VOLUME": "volume",
    "SCHEDULE": "schedule",
    "TARGET": "target",
    "STATUS": "status",
    "LAST SUCCESS": "last_success_at",
    "NEXT": "next_backup_at",
    "ERROR": "last_error",
}
_PLAIN = ("volume", "schedule", "time_zone", "compression", "timeout", "suspended")
_S3 = ("bucket", "prefix", "endpoint", "region", "access_key_id")


@click.group("backup-schedule")
def backup_schedule() -> None:
    """Backups of volumes by a schedule."""


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--file", "-f", type=_FILE, help="A YAML or JSON body of POST /backup-schedules."),
    click.option("--volume", help="The local volume that is backed up."),
    click.option("--schedule", help='As cron: "0 3 * * *", or @daily.'),
    click.option("--time-zone", help="Of the schedule, such as Europe/Berlin (default: UTC)."),
    click.option("--directory", help="Where they go: a directory of the volume's node that is there."),
    click.option("--s3-bucket", help="Or this bucket of an S3 store."),
    click.option("--s3-prefix", help="Before the names in it."),
    click.option("--s3-endpoint", help="The store's URL (default: AWS's)."),
    click.option("--s3-region"),
    click.option("--s3-access-key-id", help="Without it: what the node's environment or role has."),
    click.option("--s3-secret-key-file", type=_FILE, help="Holds the secret access key."),
    click.option("--keep-count", type=click.IntRange(min=1), help="How many are kept."),
    click.option("--keep-age", help="How old they become, such as 30d. The newest is always kept."),
    click.option("--compression", type=click.Choice(["zstd", "gzip"])),
    click.option("--passphrase-file", type=_FILE, help="Encrypt by what it holds."),
    click.option("--timeout", help="For one backup (default: 12h)."),
)


def _options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _overlay(body: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """`body` with what the flags say. Raises click.UsageError where they contradict each other."""
    body |= given(options, _PLAIN)
    merge(body, "keep", given(options, ("count", "age"), flag="keep_"))
    s3 = given(options, _S3, flag="s3_")
    if options["s3_secret_key_file"] is not None:
        s3["secret_access_key"] = options["s3_secret_key_file"].read_text().strip()
    if options["directory"] is not None and s3:
        raise click.UsageError("expected --directory or --s3-…, not both")
    if options["directory"] is not None:
        body["target"] = {"type": "directory", "path": options["directory"]}
    elif s3:
        before = body.get("target", {})
        body["target"] = {**(before if before.get("type") == "s3" else {}), **s3, "type": "s3"}
    if options["passphrase_file"] is not None:
        body["passphrase"] = options["passphrase_file"].read_text().strip()
    return body


@backup_schedule.command()
@click.argument("name")
@_options
@click.option("--suspended", is_flag=True, default=None, help="Begin nothing until it is resumed.")
@session_options
def create(session: Session, name: str, file: Path | None, **options: Any) -> None:
    """Back a volume up by a schedule."""
    body = _overlay({} if file is None else read_body(file), options) | {"name": name}
    for required in ("volume", "schedule", "target"):
        if not body.get(required):
            told = "--directory or --s3-bucket" if required == "target" else f"--{required}"
            raise click.UsageError(f"{told} is needed (or `{required}` in the file)")
    show(session.output, session.run(lambda client: client.post("/backup-schedules", body)))


@backup_schedule.command()
@click.argument("name")
@_options
@click.option("--suspend/--resume", "suspended", default=None, help="Let it rest, or obey it again.")
@click.option("--no-encryption", is_flag=True, help="From now on in the clear.")
@session_options
def update(session: Session, name: str, file: Path | None, no_encryption: bool, **options: Any) -> None:
    """Change what is given; without --file the rest stays, secrets too."""

    async def work(client: Client) -> Any:
        body = (await client.get(f"/backup-schedules/{name}"))["spec"] if file is None else read_body(file)
        changed = _overlay(body, options) | {"name": name} | ({"passphrase": ""} if no_encryption else {})
        return await client.put(f"/backup-schedules/{name}", changed)

    show(session.output, session.run(work))


add_list(
    backup_schedule,
    "/backup-schedules",
    "backup_schedules",
    _COLUMNS,
    "List the schedules, and how their last backups went.",
)
add_request(
    backup_schedule, "info", "GET", "/backup-schedules/{name}", "Show one schedule, and how its last backup went."
)
add_request(
    backup_schedule,
    "delete",
    "DELETE",
    "/backup-schedules/{name}",
    "Delete a schedule. What it stored stays where it is.",
)


@backup_schedule.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Until the backup is done; fails where it does.")
@session_options
def run(session: Session, name: str, wait: bool) -> None:
    """Back up now, whatever the schedule says."""
    from hivemind.cli.waiting import look_until

    async def work(client: Client) -> Any:
        backup = await client.post(f"/backup-schedules/{name}/run")
        number = backup["number"]

        async def look() -> bool:
            nonlocal backup
            last = (await client.get(f"/backup-schedules/{name}"))["last"]
            if last is None or last["number"] < number:
                return False
            backup = last
            return True

        if wait:
            await look_until(look)
            if backup["status"] == "failed":
                raise click.ClickException(f"backup {backup['number']} failed: {backup['message']}")
        return backup

    show(session.output, session.run(work))


@backup_schedule.command()
@click.argument("name")
@click.option("--node", help="Who looks, where the volume's own node is gone.")
@session_options
def backups(session: Session, name: str, node: str | None) -> None:
    """List the backups that there are, the newest first."""
    rows = all_rows(session, f"/backup-schedules/{name}/backups", "backups", node=node)
    show(session.output, rows, {"NAME": "name", "BYTES": "bytes"})


@backup_schedule.command()
@click.argument("name")
@click.argument("backup", required=False)
@click.option("--volume", help="Another volume than the schedule's.")
@click.option("--node", help="Where a volume that has no data yet, or whose node is gone, shall be.")
@session_options
def restore(session: Session, name: str, backup: str | None, volume: str | None, node: str | None) -> None:
    """Replace all that is in the volume by BACKUP (default: the newest)."""

    async def work(client: Client) -> Any:
        target = volume or (await client.get(f"/backup-schedules/{name}"))["volume"]
        body = {"schedule": name, "backup": backup, "node": node}
        return await client.post(f"/volumes/{target}/restore", body)

    show(session.output, session.run(work))
