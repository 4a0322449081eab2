"""Feature levels: a node is never sent what it cannot apply.

Each version knows levels up to LEVEL. An entry says which one it needs, the cluster has agreed on one that all of its
nodes know, and nobody proposes beyond it. The leader raises it when the last node was upgraded (orchestrator/
features.py); from then on a node that knows less is not let in.

Whoever adds a command, or a field that changes what applying one does, raises LEVEL and enters it in COMMANDS_SINCE or
FIELDS_SINCE. What only has to be kept and shown may come without: older versions do not pass it on, however. The suite
fails until a field is in the checked-in list of its level, too (tests/consensus/entry_fields.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from msgspec import NODEFAULT, Struct, inspect
from msgspec.structs import fields

from consensus.commands.app import ScaleApp
from consensus.commands.backup import (
    BeginBackup,
    CreateBackupSchedule,
    DeleteBackupSchedule,
    EndBackup,
    TriggerBackup,
    UpdateBackupSchedule,
)
from consensus.commands.node import ReportPorts
from consensus.commands.overlay import EncryptOverlay, ExtendOverlay
from consensus.commands.service import CreateService
from consensus.commands.task import RemoveTasks
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import Change
from consensus.model.hook import Hook
from consensus.model.job import JobSpec
from consensus.model.origin import Origin
from consensus.model.strategy import Variant
from consensus.model.volume import Volume

LEVEL = 2
COMMANDS_SINCE: Mapping[type[Struct], int] = {
    CreateBackupSchedule: 2,
    UpdateBackupSchedule: 2,
    DeleteBackupSchedule: 2,
    TriggerBackup: 2,
    BeginBackup: 2,
    EndBackup: 2,
    EncryptOverlay: 2,
    ReportPorts: 2,
}
"""Commands that came after level 1."""
FIELDS_SINCE: Mapping[tuple[type[Struct], str], int] = {
    (AppSpec, "autoscale"): 2,
    (AppSpec, "namespace"): 2,
    (AppSpec, "image_digest"): 2,
    (AppSpec, "image_architectures"): 2,
    (AppSpec, "resolve_image"): 2,
    (JobSpec, "namespace"): 2,
    (JobSpec, "image_digest"): 2,
    (JobSpec, "image_architectures"): 2,
    (JobSpec, "resolve_image"): 2,
    (Change, "image_digest"): 2,
    (Change, "image_architectures"): 2,
    (Hook, "image_digest"): 2,
    (Hook, "image_architectures"): 2,
    (Variant, "image_digest"): 2,
    (Variant, "image_architectures"): 2,
    (Volume, "namespace"): 2,
    (CreateService, "namespace"): 2,
    (Origin, "reach"): 2,
    (ExtendOverlay, "ipv6"): 2,
    (RemoveTasks, "preempted_by"): 2,
    (ScaleApp, "previous"): 2,
    (ScaleApp, "reason"): 2,
}
"""Fields, by struct and name, that came after level 1; they are needed only where they are set."""


def level_of(command: Struct, origin: Origin | None = None) -> int:
    """The level that a cluster needs to apply `command`."""
    newer = frozenset((*COMMANDS_SINCE, *(kind for kind, _ in FIELDS_SINCE)))
    told = (value for value in (command, origin) if value is not None and not newer.isdisjoint(_parts(type(value))))
    return max((level for value in told for level in _levels(value)), default=1)


@cache
def _parts(kind: type[Struct]) -> frozenset[type]:
    """The Structs that values of `kind` are made of: long reports have nothing new, and need not be looked through."""
    found: set[type] = set()

    def collect(info: Any) -> None:
        if isinstance(info, inspect.StructType):
            if info.cls in found:
                return
            found.add(info.cls)
        if isinstance(info, Struct):
            for name in info.__struct_fields__:
                collect(getattr(info, name))
        elif isinstance(info, tuple):
            for item in info:
                collect(item)

    collect(inspect.type_info(kind))
    return frozenset(found)


def _levels(value: Any) -> Iterator[int]:
    match value:
        case Struct():
            yield COMMANDS_SINCE.get(type(value), 1)
            for name, default in zip(value.__struct_fields__, _defaults(type(value)), strict=True):
                inner = getattr(value, name)
                if inner != default:
                    yield FIELDS_SINCE.get((type(value), name), 1)
                    yield from _levels(inner)
        case list() | tuple():
            for item in value:
                yield from _levels(item)
        case dict():
            for item in value.values():
                yield from _levels(item)


@cache
def _defaults(kind: type[Struct]) -> list[Any]:
    """One a field; what has none is not equal to anything."""
    return [field.default if field.default_factory is NODEFAULT else field.default_factory() for field in fields(kind)]


def not_known(level: int, what: str) -> str:
    """Why this version cannot take `what`."""
    return f"{what} needs feature level {level}, and this version knows {LEVEL}: upgrade this node"
