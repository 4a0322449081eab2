"""``hivemind audit``: who did what."""

from __future__ import annotations

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {
    "TIME": "timestamp",
    "USER": "user_id",
    "FROM": "address",
    "ACTION": "action",
    "TARGET": "target",
    "OUTCOME": "outcome",
    "MESSAGE": "message",
}


@click.command()
@click.option("--user", help="Only this user's.")
@click.option("--outcome", help="Only those that ended so: done, permission_denied, conflict, …")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many of the newest.")
@session_options
def audit(session: Session, user: str | None, outcome: str | None, limit: int) -> None:
    """Who did what, from where, and how it ended; the newest first."""
    query = {"user": user, "outcome": outcome, "limit": limit}
    show(session.output, session.run(lambda client: client.get("/audit", **query))["records"], _COLUMNS)
