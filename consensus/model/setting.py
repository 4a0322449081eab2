"""Settings of the whole cluster, agreed, and the same on every node: ``<section>.<field>``.

A new area writes a Struct whose fields are all scalars with defaults (`Meta` gives bounds and the description) and
adds it to SECTIONS; validation, API and command line follow from its types.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from consensus.model.network import OverlaySettings
from consensus.model.scheduling import SchedulerSettings

Value = bool | int | float | str
T = TypeVar("T", bound=Struct)
SECTIONS: Mapping[str, type[Struct]] = types.MappingProxyType(
    {"scheduler": SchedulerSettings, "overlay": OverlaySettings}
)


class Setting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One that was set; those that were not have their defaults."""

    key: str
    value: Value
    set_at_s: float


class SettingKind(Struct, frozen=True):
    """What may be set. `expected` completes "expected …"."""

    key: str
    section: type[Struct]
    default: Value
    expected: str
    description: str

    def parsed(self, value: Value) -> Value:
        """`value` as it is kept.

        Raises:
            ValueError: it is not what is expected; the message names the key.
        """
        field = self.key.partition(".")[2]
        try:
            return getattr(msgspec.convert({field: value}, self.section), field)  # type: ignore[no-any-return]
        except msgspec.ValidationError:
            raise ValueError(f"{self.key}: expected {self.expected}, got {value!r}") from None


def kinds() -> Mapping[str, SettingKind]:
    """All that may be set, by key, in the order of the sections and their fields."""
    return _KINDS


def section_of(settings: Mapping[str, Setting], section: type[T]) -> T:
    """The settings of one area, with defaults. What another version kept and this one does not understand is as if it
    were not set."""
    given: dict[str, Any] = {}
    for kind in _KINDS.values():
        setting = settings.get(kind.key)
        if kind.section is section and setting is not None:
            try:
                given[kind.key.partition(".")[2]] = kind.parsed(setting.value)
            except ValueError:
                continue
    return section(**given)


def _expected(found: inspect.Type) -> str:
    match found:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(str(value) for value in values)}"
        case inspect.StrType():
            return "a text"
    raise TypeError(f"a setting cannot be {found!r}")


def _kinds_of(name: str, section: type[Struct]) -> list[SettingKind]:
    found = inspect.type_info(section)
    assert isinstance(found, inspect.StructType)
    kinds = []
    for field in found.fields:
        inner, description = field.type, ""
        if isinstance(inner, inspect.Metadata):
            description = (inner.extra_json_schema or {}).get("description", "")
            inner = inner.type
        kinds.append(SettingKind(f"{name}.{field.name}", section, field.default, _expected(inner), description))
    return kinds


_KINDS: Mapping[str, SettingKind] = types.MappingProxyType(
    {kind.key: kind for name, section in SECTIONS.items() for kind in _kinds_of(name, section)}
)
