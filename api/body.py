"""Request bodies: JSON into a Struct, or a complaint that names the field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from api.errors import InvalidRequest

T = TypeVar("T")
_STEP = re.compile(r"[^.\[\]]+")
_AT_PATH = re.compile(r"(?P<what>.*) - at `(?P<path>[^`]*)`", re.DOTALL)
_VALUE = re.compile(r"Invalid (enum )?value (?P<given>.*)", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(?P<field>[^`]*)`")


def decode(data: bytes, kind: type[T]) -> T:
    """`data` as a `kind`.

    Raises:
        InvalidRequest: it is not JSON (and where), or not a `kind` (which field, and what was expected).
    """
    if not data.strip():
        raise InvalidRequest("expected a JSON body, got none")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explain(str(error), kind)) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deep") from None


def explain(complaint: str, kind: Any) -> str:
    """msgspec's complaint about a `kind` with the field's path first: ``ports[0].container_port: expected `int`, got
    `str```."""
    match = _AT_PATH.fullmatch(complaint)
    what, path = (match["what"], match["path"]) if match else (complaint, "$")
    path = path.removeprefix("key in ").removeprefix("$").removeprefix(".")
    about_field = _FIELD.fullmatch(what)
    if about_field:
        known = fields_at(kind, path)
        path = f"{path}.{about_field['field']}" if path else about_field["field"]
        unknown = f"unknown field; there are: {', '.join(known)}" if known else "unknown field"
        what = "required, but missing" if "missing" in what else unknown
    elif (about_value := _VALUE.fullmatch(what)) and (possible := values_at(kind, path)):
        what = f"expected one of {', '.join(map(str, possible))}, got {about_value['given']}"
    what = what[:1].lower() + what[1:]
    return f"{path}: {what}" if path else what


def fields_at(kind: Any, path: str) -> list[str]:
    """The names of the fields that a `kind` has at a path such as ``ports[0]``; none where several kinds may be."""
    structs = [each for each in _types_at(kind, path) if isinstance(each, inspect.StructType)]
    return sorted(field.encode_name for field in structs[0].fields) if len(structs) == 1 else []


def values_at(kind: Any, path: str) -> list[Any]:
    """The values that a `kind` may have at a path; none where that depends on which of several kinds it is."""
    around, _, name = path.rpartition(".")
    tags = [
        each.tag
        for each in _types_at(kind, around)
        if isinstance(each, inspect.StructType) and each.tag_field == name and each.tag is not None
    ]
    if tags:
        return tags
    possible = [found for each in _types_at(kind, path) if (found := _values(each))]
    return possible[0] if all(found == possible[0] for found in possible) and possible else []


def _types_at(kind: Any, path: str) -> list[inspect.Type]:
    found = _plain(inspect.type_info(kind))
    for step in _STEP.findall(path):
        found = [inner for each in found for inner in _inside(each, step)]
    return found


def _values(kind: inspect.Type) -> list[Any]:
    if isinstance(kind, inspect.LiteralType):
        return list(kind.values)
    return [member.value for member in kind.cls] if isinstance(kind, inspect.EnumType) else []


def _inside(kind: inspect.Type, step: str) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        return [inner for field in kind.fields if field.encode_name == step for inner in _plain(field.type)]
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return _plain(kind.item_type)
    return _plain(kind.value_type) if isinstance(kind, inspect.DictType) else []


def _plain(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]
