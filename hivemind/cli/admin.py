"""``hivemind admin …``: settings of the cluster; copies of its state, for the day that something is lost."""

from __future__ import annotations

import click

from hivemind.cli import admin_config, admin_files


@click.group()
def admin() -> None:
    """Settings of the cluster; its state: copied, looked at, restored, or saved from one node after a lost quorum."""


admin.add_command(admin_config.config)
for command in (admin_files.backup, admin_files.restore, admin_files.recover, admin_files.inspect, admin_files.ca):
    admin.add_command(command)
