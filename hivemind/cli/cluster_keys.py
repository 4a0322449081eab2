"""``hivemind cluster keys …``: the keys that gossip is sealed with."""

from __future__ import annotations

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_request

_COLUMNS = {"KEY": "fingerprint", "IN USE": "in_use", "USED BY": "used_by", "HELD BY": "held_by"}


@click.group()
def keys() -> None:
    """The keys that gossip is sealed with. They are called by their fingerprints.

    `rotate` does all of it. By hand: install a new key, use it, remove the old one; each waits for every member.
    """


@keys.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the keys, and who uses and accepts them."""
    rows = all_rows(session, "/cluster/keys", "keys")
    show(session.output, rows, _COLUMNS)
    if rows and rows[0]["unanswered"]:
        click.echo(f"no answer from: {', '.join(rows[0]['unanswered'])}", err=True)


@keys.command()
@click.argument("key", required=False)
@session_options
def install(session: Session, key: str | None) -> None:
    """Accept KEY (32 bytes in base64; default: a new one) at every member."""
    show(session.output, session.run(lambda client: client.post("/cluster/keys", {"key": key})))


add_request(keys, "use", "POST", "/cluster/keys/{fingerprint}/use", "Seal with this key at every member.")
add_request(keys, "remove", "DELETE", "/cluster/keys/{fingerprint}", "Accept this key no longer.")
add_request(keys, "rotate", "POST", "/cluster/rotate-keys", "Install a new key, use it, and remove all others.")
