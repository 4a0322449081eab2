"""GraphQL types from Structs: the same names and meanings as in the REST answers."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
)
from msgspec import Struct

Long = GraphQLScalarType("Long", description="An integer of up to 64 bits: sizes in bytes do not fit into Int.")
Json = GraphQLScalarType(
    "JSON", serialize=msgspec.to_builtins, description="Any JSON value, such as a mapping with any keys."
)
_SCALARS: Mapping[Any, GraphQLScalarType] = {
    str: GraphQLString,
    int: Long,
    float: GraphQLFloat,
    bool: GraphQLBoolean,
}
Resolver = Callable[..., Any]


class Types:
    """Makes each Struct's type once. Those in `nouns` are made by the schema."""

    def __init__(self) -> None:
        self._known: dict[type[Struct], GraphQLObjectType] = {}

    def of(self, annotation: Any) -> GraphQLOutputType:
        """The type of values of `annotation`, with null only where it allows None."""
        inner = [arg for arg in typing.get_args(annotation) if arg is not types.NoneType]
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            plain = self._plain(inner[0]) if len(inner) == 1 else Json
            return plain if len(inner) < len(typing.get_args(annotation)) else GraphQLNonNull(plain)
        return GraphQLNonNull(self._plain(annotation))

    def _plain(self, annotation: Any) -> GraphQLScalarType | GraphQLObjectType | GraphQLList[Any]:
        if annotation in _SCALARS:
            return _SCALARS[annotation]
        origin = typing.get_origin(annotation)
        if origin in (list, tuple):
            return GraphQLList(self.of(typing.get_args(annotation)[0]))
        if isinstance(annotation, type) and issubclass(annotation, Struct):
            return self.struct(annotation)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return GraphQLString
        return Json

    def struct(self, kind: type[Struct], name: str = "") -> GraphQLObjectType:
        if kind not in self._known:
            name = name or kind.__name__.removesuffix("View").removesuffix("Answer")
            self._known[kind] = GraphQLObjectType(name, lambda: self.fields(kind))
        return self._known[kind]

    def fields(
        self, kind: type[Struct], *, resolve: Callable[[str], Resolver] | None = None
    ) -> dict[str, GraphQLField]:
        return {
            info.encode_name: GraphQLField(self.of(info.type), resolve=(resolve or _attribute)(info.name))
            for info in msgspec.structs.fields(kind)
        }


def _attribute(name: str) -> Resolver:
    return lambda source, info: getattr(source, name)
