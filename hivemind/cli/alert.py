"""``hivemind alert …``."""

from __future__ import annotations

import click

from hivemind.cli.verbs import add_list, add_request

_COLUMNS = {
    "ID": "id",
    "SEVERITY": "severity",
    "RESOURCE": "resource",
    "SINCE": "created_at",
    "SEEN BY": "acknowledged_by",
    "MESSAGE": "message",
}


@click.group()
def alert() -> None:
    """What a person should know of."""


add_list(alert, "/alerts", "alerts", _COLUMNS, "List the alerts that stand, the newest first.")
add_request(alert, "info", "GET", "/alerts/{alert_id}", "Show one alert.")
add_request(alert, "ack", "POST", "/alerts/{alert_id}/acknowledge", "Say that you have seen one.")
