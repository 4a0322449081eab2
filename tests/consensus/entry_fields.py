"""The fields that entries of the log may have, by feature level: lists in `entry_field_lists/`, one field a line.

    .venv/bin/python -m tests.consensus.entry_fields --accept

writes what the lists lack into that of the newest level. Right for a level that no cluster runs yet, and for fields
that `FIELDS_SINCE` or `COMMANDS_SINCE` has; for all others raise `LEVEL` first (consensus/features.py).
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec

from consensus import features
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


def listed() -> dict[str, int]:
    """The field and the level that it came with, of all lists."""
    return {
        line: level for level in range(1, features.LEVEL + 1) for line in _path(level).read_text().splitlines() if line
    }


def level_of(field: Field) -> int:
    """By the tables of consensus/features.py."""
    return max(features.COMMANDS_SINCE.get(field.kind, 1), features.FIELDS_SINCE.get((field.kind, field.name), 1))


def problems(found: list[Field], known: dict[str, int]) -> Iterator[str]:
    """What an older version, or an older log, would trip over."""
    for field in found:
        name = str(field)
        if name not in known:
            yield (
                f"{name} is in no list of fields: raise LEVEL, enter it in FIELDS_SINCE or COMMANDS_SINCE "
                f"(consensus/features.py), then `python -m tests.consensus.entry_fields --accept`"
            )
        elif known[name] != level_of(field):
            yield f"{name} came with level {known[name]} by the list, with {level_of(field)} by consensus/features.py"
        elif known[name] > 1 and not field.has_default and field.kind not in features.COMMANDS_SINCE:
            yield f"{name} has no default: entries of before level {known[name]} could not be read"
    for name in known.keys() - {str(field) for field in found}:
        yield f"{name} is gone or was renamed: entries that have it would lose it, or could not be read"


def _path(level: int) -> Path:
    return FOLDER / f"level_{level}.txt"


def accept() -> list[str]:
    """Write the unlisted fields into the list of the newest level; returns them."""
    path, known = _path(features.LEVEL), {}
    if path.exists():
        known = listed()
    fresh = [str(field) for field in fields() if str(field) not in known]
    lines = {name for name, level in known.items() if level == features.LEVEL} | set(fresh)
    path.write_text("".join(f"{line}\n" for line in sorted(lines)))
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
