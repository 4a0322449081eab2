"""Printing: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
import yaml
from rich import box
from rich.console import Console
from rich.table import Table

_ENDLESS = 10_000


def show(output: str, data: Any, columns: Mapping[str, str] | None = None) -> None:
    """Prints `data` (a dict, or a list of dicts).

    Args:
        columns: for a table of a list: header → field, with dots for nesting.
    """
    if output == "json":
        click.echo(json.dumps(data, indent=2))
    elif output == "yaml":
        click.echo(yaml.safe_dump(data, sort_keys=False), nl=False)
    elif isinstance(data, list):
        _table(data, columns or {})
    else:
        _details(data)


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in columns:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(_field(row, path)) for path in columns.values()))
    _console().print(table)


def _details(data: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in data.items():
        table.add_row(
            key,
            yaml.safe_dump(value, sort_keys=False).strip()
            if value and isinstance(value, dict | list)
            else _cell(value),
        )
    _console().print(table)


def _console() -> Console:
    """A pipe has no width: there, no line is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=_ENDLESS, soft_wrap=True)


def _field(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _cell(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
