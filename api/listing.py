"""Lists: filters, sort, pagination and field selection, the same for every noun.

Items are frozen Structs; which of their fields can be filtered and sorted follows from their types.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
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


Predicate = Callable[[Any], bool]


class Request(Struct, frozen=True):
    """What a query asks of a list. `filters` is empty where every item is wanted."""

    filters: tuple[Predicate, ...]
    sort_path: tuple[str, ...] | None
    numeric: bool
    descending: bool
    limit: int
    offset: int
    fields: tuple[str, ...] | None

    @property
    def as_they_come(self) -> bool:
        """Whether the page is a slice of the items as they are: then only that slice need be made."""
        return not self.filters and self.sort_path is None and not self.descending

    def wants(self, item: Any) -> bool:
        return all(passes(item) for passes in self.filters)


def read(query: Query, listing: Listing) -> Request:
    """Raises InvalidRequest: a parameter is unknown or has a bad value; its name is told."""
    order = query.text("order")
    if order not in (None, "asc", "desc"):
        raise InvalidRequest(f"parameter 'order': expected asc or desc, got {order!r}")
    sort = _sort_field(query, listing)
    limit = query.integer("limit", least=1, most=MAX_LIMIT)
    fields = query.words("fields") if "fields" in query.values else None
    if fields is not None:
        _check_fields(fields, listing.item)
    return Request(
        filters=tuple(_filters(query, listing)),
        sort_path=None if sort is None else sort.path,
        numeric=sort is not None and sort.kind in (int, float, bool),
        descending=order == "desc",
        limit=DEFAULT_LIMIT if limit is None else limit,
        offset=query.integer("offset") or 0,
        fields=fields,
    )


def page_of(page: list[Any], total: int, request: Request, listing: Listing) -> dict[str, Any]:
    """The answer with `page`, the items from `offset` on of `total`."""
    limit, offset = request.limit, request.offset
    if request.fields is not None:
        page = _selected(page, request.fields, listing.item)
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


def in_order(items: list[Any], request: Request) -> list[Any]:
    """Sorted as asked; items without the field come last."""
    path = request.sort_path
    if path is None:
        return items[::-1] if request.descending else items
    keyed = [(_value(item, path), item) for item in items]
    having = [(value if request.numeric else str(value), item) for value, item in keyed if value is not None]
    having.sort(key=lambda pair: pair[0], reverse=request.descending)
    return [item for _, item in having] + [item for value, item in keyed if value is None]


def _filters(query: Query, listing: Listing) -> Iterator[Predicate]:
    for name, text in query.values.items():
        if name in _OWN:
            continue
        found = _find(listing.item, listing.aliases.get(name, name))
        if found is None:
            raise InvalidRequest(f"unknown parameter {name!r}; filters are: {', '.join(_filter_names(listing))}")
        yield _equals(found.path, _parsed(name, text, found.kind))


def _equals(path: tuple[str, ...], expected: Any) -> Predicate:
    return lambda item: bool(_value(item, path) == expected)


def _sort_field(query: Query, listing: Listing) -> _Field | None:
    name = query.text("sort")
    if name is None:
        return None
    found = _find(listing.item, listing.aliases.get(name, name))
    if found is None:
        names = ", ".join(_filter_names(listing))
        raise InvalidRequest(f"parameter 'sort': unknown field {name!r}; there are: {names}")
    return found


def _filter_names(listing: Listing) -> list[str]:
    fields = fields_of(listing.item)
    return sorted({*listing.aliases, *(f"{name}.<key>" if found.open else name for name, found in fields.items())})


def _check_fields(wanted: Sequence[str], item: type[Struct]) -> None:
    if not wanted:
        raise InvalidRequest("parameter 'fields': expected names, separated by commas")
    known = _all_names(item)
    for name in wanted:
        if name not in known and _find(item, name) is None:
            raise InvalidRequest(f"parameter 'fields': unknown field {name!r}; there are: {', '.join(sorted(known))}")


def _selected(page: list[Any], wanted: Sequence[str], item: type[Struct]) -> list[dict[str, Any]]:
    steps = [_steps(name, item) for name in wanted]
    return [_picked(msgspec.to_builtins(entry), steps) for entry in page]


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
