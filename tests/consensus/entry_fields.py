"""The fields that entries of the log may have, by feature level: lists in `entry_field_lists/`, one field a line.

    .venv/bin/python -m tests.consensus.entry_fields [--accept]

says what is wrong, or writes what the lists lack into that of the newest level. After a line's field may stand `kept`:
nothing that is applied depends on it, so older versions may be sent it, and do not pass it on. All others that came
after level 1 must be in FIELDS_SINCE, or their commands in COMMANDS_SINCE (consensus/features.py); those of a struct
that is new with the level count with the field that holds it.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec

from consensus import features
from consensus.commands.base import Command
from consensus.entry import Entry

FOLDER = Path(__file__).with_name("entry_field_lists")


class Field(msgspec.Struct, frozen=True):
    kind: type[msgspec.Struct]
    name: str
    has_default: bool

    def __str__(self) -> str:
        return f"{self.kind.__module__}.{self.kind.__qualname__}.{self.name}"


def fields(root: type[msgspec.Struct] = Entry) -> list[Field]:
    """Of `root` and all structs that it may hold. A struct without fields has one without a name."""
    found = []
    for kind in sorted(_structs(root, set()), key=lambda kind: (kind.__module__, kind.__qualname__)):
        known = msgspec.structs.fields(kind)
        found += [Field(kind, field.name, not field.required) for field in known] or [Field(kind, "", True)]
    return found


def _structs(hint: typing.Any, seen: set[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if hint not in seen:
            seen.add(hint)
            for inner in typing.get_type_hints(hint).values():
                _structs(inner, seen)
        return seen
    for inner in typing.get_args(hint):
        _structs(inner, seen)
    return seen


class Listed(msgspec.Struct, frozen=True):
    level: int
    kept: bool = False


def listed() -> dict[str, Listed]:
    """What the lists say of each field."""
    found = {}
    for level in range(1, features.LEVEL + 1):
        lines = _path(level).read_text().splitlines() if _path(level).exists() else []
        for name, *kept in map(str.split, lines):
            found[name] = Listed(level, kept == ["kept"])
    return found


def level_of(field: Field) -> int:
    """By the tables of consensus/features.py."""
    return max(features.COMMANDS_SINCE.get(field.kind, 1), features.FIELDS_SINCE.get((field.kind, field.name), 1))


def problems(found: list[Field], known: dict[str, Listed]) -> Iterator[str]:
    """What an older version, or an older log, would trip over."""
    new_structs = _new_structs(found, known)
    for field in found:
        name, told = str(field), known.get(str(field))
        if told is None:
            yield (
                f"{name} is in no list of fields: enter it in FIELDS_SINCE or COMMANDS_SINCE (consensus/features.py) "
                "at a level that no cluster has yet, then `python -m tests.consensus.entry_fields --accept`"
            )
        elif told.level != level_of(field) and not told.kept and field.kind not in new_structs:
            yield (
                f"{name} came with level {told.level} by the list, with {level_of(field)} by consensus/features.py; "
                "if nothing that is applied depends on it, write `kept` after it in the list"
            )
        elif (
            told.level > 1 and not field.has_default and field.kind not in new_structs | features.COMMANDS_SINCE.keys()
        ):
            yield f"{name} has no default: entries of before level {told.level} could not be read"
    for name in known.keys() - {str(field) for field in found}:
        yield f"{name} is gone or was renamed: entries that have it would lose it, or could not be read"


def _new_structs(found: list[Field], known: dict[str, Listed]) -> set[type[msgspec.Struct]]:
    """Those that came whole after level 1, inside of a field. Commands must say their level themselves."""
    old = {field.kind for field in found if (told := known.get(str(field))) is None or told.level == 1}
    return {field.kind for field in found if field.kind not in old and not issubclass(field.kind, Command)}


def _path(level: int) -> Path:
    return FOLDER / f"level_{level}.txt"


def accept() -> list[str]:
    """Write the unlisted fields into the list of the newest level; returns them."""
    path, known = _path(features.LEVEL), listed()
    fresh = [str(field) for field in fields() if str(field) not in known]
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("".join(f"{line}\n" for line in sorted([*lines, *fresh])))
    return fresh


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write what the lists lack")
    if parser.parse_args().accept:
        print("".join(f"{line}\n" for line in accept()), end="")
    else:
        print("".join(f"{line}\n" for line in problems(fields(), listed())), end="")


if __name__ == "__main__":
    main()
