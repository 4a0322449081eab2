"""Lists: filters, sort, pagination and field selection, the same for every noun.

Items are frozen Structs; which of their fields can be filtered and sorted follows from their types.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Union

import msgspec
from msgspec import Struct

from api.errors import InvalidRequest
from api.query import COMMON, Query
from api.route import Listing

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
_OWN = ("limit", "offset", "sort", "order", "fields", *(parameter.name for parameter in COMMON))
_SCALARS = (str, int, float, bool)


class Pagination(Struct, frozen=True):
    """`next_offset` and `prev_offset` are null where there is no such page."""

    total: int
    limit: int
    offset: int
    next_offset: int | None
    prev_offset: int | None


class _Field(Struct, frozen=True):
    """A scalar field, possibly inside nested Structs (`path`); `open` is a mapping with any keys."""

    path: tuple[str, ...]
    kind: type
    open: bool = False


def _unwrapped(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        scalars = [arg for arg in inner if arg in _SCALARS]
        return inner[0] if len(inner) == 1 else (str if scalars else None)
    return annotation


@cache
def fields_of(item: type[Struct]) -> Mapping[str, _Field]:
    """The scalar fields of `item` by dotted name."""

    def walk(struct: type[Struct], prefix: tuple[str, ...]) -> Iterator[tuple[str, _Field]]:
        for info in msgspec.structs.fields(struct):
            annotation = _unwrapped(info.type)
            path = (*prefix, info.encode_name)
            name = ".".join(path)
            if annotation in _SCALARS:
                yield name, _Field(path, annotation)
            elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
                yield name, _Field(path, str)
            elif isinstance(annotation, type) and issubclass(annotation, Struct):
                yield from walk(annotation, path)
            elif typing.get_origin(annotation) is dict:
                yield name, _Field(path, str, open=True)

    return dict(walk(item, ()))


def _find(item: type[Struct], name: str) -> _Field | None:
    fields = fields_of(item)
    if name in fields and not fields[name].open:
        return fields[name]
    for known, found in fields.items():
        # Keys of mappings (labels, environment) may have dots themselves.
        if found.open and name.startswith(known + "."):
            return _Field((*found.path, name.removeprefix(known + ".")), str)
    return None


def _value(item: Any, path: Sequence[str]) -> Any:
    for step in path:
        if item is None:
            return None
        item = item.get(step) if isinstance(item, Mapping) else getattr(item, step)
    return item.value if isinstance(item, enum.Enum) else item


def _parsed(name: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise InvalidRequest(f"parameter {name!r}: expected {kind.__name__}, got {text[:40]!r}") from None


def select(items: Iterable[Any], query: Query, listing: Listing) -> dict[str, Any]:
    """The page of `items` that `query` asks for: ``{<key>: [...], total, pagination}``.

    The order of `items` is kept where `sort` does not say otherwise, so it must be stable itself.

    Raises:
        InvalidRequest: a parameter is unknown or has a bad value; its name is told.
    """
    chosen = _filtered(list(items), query, listing)
    limit = query.integer("limit", least=1, most=MAX_LIMIT)
    limit = DEFAULT_LIMIT if limit is None else limit
    offset = query.integer("offset") or 0
    chosen = _sorted(chosen, query, listing)
    page: list[Any] = chosen[offset : offset + limit]
    total = len(chosen)
    wanted = query.words("fields")
    if "fields" in query.values:
        page = _selected(page, wanted, listing.item)
    return {
        listing.key: page,
        "total": total,
        "pagination": Pagination(
            total=total,
            limit=limit,
            offset=offset,
            next_offset=offset + limit if offset + limit < total else None,
            prev_offset=max(0, offset - limit) if offset > 0 else None,
        ),
    }


def _filtered(items: list[Any], query: Query, listing: Listing) -> list[Any]:
    for name, text in query.values.items():
        if name in _OWN:
            continue
        found = _find(listing.item, listing.aliases.get(name, name))
        if found is None:
            raise InvalidRequest(f"unknown parameter {name!r}; filters are: {', '.join(_filter_names(listing))}")
        expected = _parsed(name, text, found.kind)
        items = [item for item in items if _value(item, found.path) == expected]
    return items


def _filter_names(listing: Listing) -> list[str]:
    fields = fields_of(listing.item)
    return sorted({*listing.aliases, *(f"{name}.<key>" if found.open else name for name, found in fields.items())})


def _sorted(items: list[Any], query: Query, listing: Listing) -> list[Any]:
    order = query.text("order")
    if order not in (None, "asc", "desc"):
        raise InvalidRequest(f"parameter 'order': expected asc or desc, got {order!r}")
    name = query.text("sort")
    if name is None:
        return items[::-1] if order == "desc" else items
    found = _find(listing.item, listing.aliases.get(name, name))
    if found is None:
        raise InvalidRequest(
            f"parameter 'sort': unknown field {name!r}; there are: {', '.join(_filter_names(listing))}"
        )
    path = found.path
    having = [item for item in items if _value(item, path) is not None]
    lacking = [item for item in items if _value(item, path) is None]
    numeric = found.kind in (int, float, bool)
    having.sort(key=lambda item: _value(item, path) if numeric else str(_value(item, path)), reverse=order == "desc")
    return having + lacking


def _selected(page: list[Any], wanted: Sequence[str], item: type[Struct]) -> list[dict[str, Any]]:
    if not wanted:
        raise InvalidRequest("parameter 'fields': expected names, separated by commas")
    plain = [msgspec.to_builtins(entry) for entry in page]
    known = _all_names(item)
    for name in wanted:
        if name not in known and _find(item, name) is None:
            raise InvalidRequest(f"parameter 'fields': unknown field {name!r}; there are: {', '.join(sorted(known))}")
    steps = [_steps(name, item) for name in wanted]
    return [_picked(entry, steps) for entry in plain]


@cache
def _all_names(item: type[Struct]) -> frozenset[str]:
    """Every name that `fields` may say: also whole Structs, lists, and fields of the Structs in lists."""

    def walk(annotation: Any, prefix: str) -> Iterator[str]:
        annotation = _unwrapped(annotation)
        if typing.get_origin(annotation) in (list, tuple):
            annotation = _unwrapped(typing.get_args(annotation)[0])
        if isinstance(annotation, type) and issubclass(annotation, Struct):
            for info in msgspec.structs.fields(annotation):
                yield prefix + info.encode_name
                yield from walk(info.type, f"{prefix}{info.encode_name}.")

    return frozenset(walk(item, ""))


def _steps(name: str, item: type[Struct]) -> tuple[str, ...]:
    found = None if name in _all_names(item) else _find(item, name)
    return found.path if found else tuple(name.split("."))


def _picked(entry: dict[str, Any], steps: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for path in steps:
        _pick(entry, path, picked)
    return picked


def _pick(source: Any, path: tuple[str, ...], into: dict[str, Any]) -> None:
    head, rest = path[0], path[1:]
    if head not in source:
        return
    value = source[head]
    if not rest or value is None:
        into[head] = value
    elif isinstance(value, list):
        # Several fields of the same list's elements go into the same new elements.
        elements = into.setdefault(head, [{} for _ in value])
        for element, target in zip(value, elements, strict=True):
            _pick(element, rest, target)
    else:
        _pick(value, rest, into.setdefault(head, {}))
