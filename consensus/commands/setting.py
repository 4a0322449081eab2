"""Settings of the whole cluster."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.setting import Value


class SetSetting(Command, frozen=True):
    key: str
    value: Value


class UnsetSetting(Command, frozen=True):
    """Back to the default."""

    key: str
