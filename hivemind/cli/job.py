"""``hivemind job …``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hivemind.cli.app_spec import merge, overlay, pair, read_body, volume
from hivemind.cli.listing import all_rows
from hivemind.cli.logs import print_logs
from hivemind.cli.output import show, warned
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

if TYPE_CHECKING:
    from hivemind.client import Client

_COLUMNS = {
    "NAME": "name",
    "SCHEDULE": "schedule",
    "SUSPENDED": "suspended",
    "ACTIVE": "active_runs",
    "LAST RUN": "last_run_at",
    "STATUS": "last_run_status",
    "NEXT RUN": "next_run_at",
}
_RUN_COLUMNS = {
    "RUN": "id",
    "NO": "number",
    "REASON": "reason",
    "STATUS": "status",
    "DONE": "succeeded",
    "OF": "completions",
    "FAILURES": "failures",
    "STARTED": "started_at",
    "FINISHED": "finished_at",
    "MESSAGE": "message",
}
_PLAIN = (
    "name", "namespace", "image", "resolve_image", "schedule", "time_zone", "concurrency_policy", "completions",
    "parallelism", "backoff_limit", "retry_delay", "timeout", "node_affinity", "priority_class",
)  # fmt: skip


@click.group()
def job() -> None:
    """What runs to its end, once or by a schedule."""


def _body(
    file: Path | None,
    *,
    env: Sequence[str],
    label: Sequence[str],
    volumes: Sequence[str],
    args: Sequence[str],
    suspended: bool,
    cpu: float | None,
    memory: str | None,
    **options: Any,
) -> dict[str, Any]:
    """The file's content, overlaid by the flags. Raises click.UsageError where that is nothing."""
    body = {} if file is None else read_body(file)
    overlay(body, options, _PLAIN)
    merge(body, "resources", {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v is not None})
    merge(body, "env", dict(pair("--env", text) for text in env))
    merge(body, "labels", dict(pair("--label", text) for text in label))
    if volumes:
        body["volumes"] = [volume(text) for text in volumes]
    if args:
        body["args"] = list(args)
    if suspended:
        body["suspended"] = True
    for required in ("name", "image"):
        if not body.get(required):
            raise click.UsageError(f"--{required} is needed (or `{required}` in the file)")
    return body


_SPEC_OPTIONS = (
    click.option(
        "--file", "-f", type=click.Path(exists=True, path_type=Path), help="A YAML or JSON body of POST /jobs."
    ),
    click.option("--name"),
    click.option("--namespace", help="The namespace that it belongs to, for good (default: default)."),
    click.option("--image", help="What to run."),
    click.option(
        "--resolve-image/--no-resolve-image",
        default=None,
        help="Whether all runs are of what the registry has under that tag now (default: they are).",
    ),
    click.option("--schedule", help='As cron: "*/5 * * * *", or @daily. Without it, the job runs once, now.'),
    click.option("--time-zone", help="Of the schedule, such as Europe/Berlin (default: UTC)."),
    click.option("--concurrency-policy", type=click.Choice(["allow", "forbid", "replace"])),
    click.option("--completions", type=int, help="How many containers must end well (default: 1)."),
    click.option("--parallelism", type=int, help="How many of them at a time (default: 1)."),
    click.option("--backoff-limit", type=int, help="How many attempts may fail (default: 6)."),
    click.option("--retry-delay", help="Before the first retry; doubled each time (default: 10s)."),
    click.option("--timeout", help="For the whole run, such as 30m."),
    click.option("--suspended", is_flag=True, help="Begin nothing until it is resumed."),
    click.option("--env", "-e", multiple=True, metavar="KEY=VALUE"),
    click.option("--label", "-l", multiple=True, metavar="KEY=VALUE"),
    click.option("--volume", "-v", "volumes", multiple=True, metavar="NAME:PATH[:ro]"),
    click.option("--cpu", type=float, help="Cores that it needs."),
    click.option("--memory", help="Memory that it needs, such as 256M."),
    click.option("--node-affinity", metavar="KEY=VALUE"),
    click.option("--priority-class"),
    click.argument("args", nargs=-1),
)


def _spec_options(command: Any) -> Any:
    for option in reversed(_SPEC_OPTIONS):
        command = option(command)
    return command


@job.command()
@_spec_options
@click.option("--wait", is_flag=True, help="Until the run that begins with it is over; fails where the run does.")
@session_options
def create(session: Session, file: Path | None, wait: bool, **options: Any) -> None:
    """Create a job. What follows -- is the command's arguments."""
    body = _body(file, **options)
    answer = warned(session.output, session.run(lambda client: client.post("/jobs", body)))
    show(session.output, answer)
    if wait and answer["run_id"]:
        _wait(session, body["name"], answer["run_id"])


@job.command()
@_spec_options
@session_options
def update(session: Session, file: Path | None, **options: Any) -> None:
    """Replace a job's spec, for the runs that begin from now on."""
    body = _body(file, **options)
    answer = session.run(lambda client: client.put(f"/jobs/{body['name']}", body))
    show(session.output, warned(session.output, answer))


add_list(job, "/jobs", "jobs", _COLUMNS, "List the jobs.")
add_request(job, "info", "GET", "/jobs/{name}", "Show one job.")


@job.command()
@click.argument("name")
@click.argument("run_id", required=False)
@session_options
def runs(session: Session, name: str, run_id: str | None) -> None:
    """List a job's runs, the newest first, or show one with its containers."""
    if run_id is None:
        show(session.output, all_rows(session, f"/jobs/{name}/runs", "runs"), _RUN_COLUMNS)
    else:
        show(session.output, session.run(lambda client: client.get(f"/jobs/{name}/runs/{run_id}")))


@job.command("run")
@click.argument("name")
@click.option("--wait", is_flag=True, help="Until the run is over; fails where the run does.")
@session_options
def trigger(session: Session, name: str, wait: bool) -> None:
    """Run a job now, whatever its schedule says."""
    answer = session.run(lambda client: client.post(f"/jobs/{name}/trigger"))
    show(session.output, answer)
    if wait:
        _wait(session, name, answer["run_id"])


add_request(job, "suspend", "POST", "/jobs/{name}/suspend", "Let the schedule rest.")
add_request(
    job, "resume", "POST", "/jobs/{name}/resume", "Obey the schedule again; what was due meanwhile is not made up for."
)
add_request(job, "stop", "POST", "/jobs/{name}/runs/{run_id}/stop", "End a run; what it wrote is kept.")


@job.command()
@click.argument("name")
@click.argument("run_id", required=False)
@session_options
def delete(session: Session, name: str, run_id: str | None) -> None:
    """Delete a job with all its runs, or one run that is over."""
    path = f"/jobs/{name}" if run_id is None else f"/jobs/{name}/runs/{run_id}"
    show(session.output, session.run(lambda client: client.delete(path)))


@job.command()
@click.argument("name")
@click.argument("run_id", required=False)
@click.option("--follow", "-f", is_flag=True, help="Until the run is over.")
@click.option("--tail", type=click.IntRange(min=0), help="Lines from the end of each container.")
@session_options
def logs(session: Session, name: str, run_id: str | None, follow: bool, tail: int | None) -> None:
    """Print what a run wrote (default: the newest)."""

    chosen = run_id or session.run(lambda client: client.get(f"/jobs/{name}"))["last_run_id"]
    if chosen is None:
        raise click.ClickException(f"job {name!r} has no run yet")
    print_logs(
        session,
        lambda client: client.run_logs(name, chosen, tail=tail),
        lambda client: client.follow_run_logs(name, chosen, tail=tail),
        follow=follow,
    )


def _wait(session: Session, name: str, run_id: str) -> None:
    from hivemind.cli.waiting import look_until

    async def work(client: Client) -> dict[str, Any]:
        run: dict[str, Any] = {}

        async def look() -> bool:
            nonlocal run
            run = await client.get(f"/jobs/{name}/runs/{run_id}")
            return run["finished_at"] is not None

        await look_until(look)
        return run

    run = session.run(work)
    if run["status"] != "succeeded":
        raise click.ClickException(f"run {run_id} {run['status']}: {run['message']}")
    click.echo(f"run {run_id} succeeded")
