"""How deep and how costly a query may be. Looked at before anything is done, on the query alone.

A field costs 1; a list costs its fields times its `limit`, or times `DEFAULT_LIMIT` where none is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from api.graphql.nouns import NOUNS
from api.listing import DEFAULT_LIMIT, MAX_LIMIT

MAX_DEPTH = 10
MAX_COST = 50_000
MAX_TOKENS = 2000
_LISTS = frozenset((*(noun.plural for noun in NOUNS), "events", "snapshots"))


class _Weigher:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._variables = variables
        self._weighed: dict[str, tuple[int, int]] = {}

    def weigh(self, selection: SelectionSetNode | None) -> tuple[int, int]:
        """Depth and cost. Fragments have no cycles: validation has seen to that."""
        depth = cost = 0
        for node in () if selection is None else selection.selections:
            if isinstance(node, FieldNode):
                its_depth, its_cost = self._field(node)
            elif isinstance(node, InlineFragmentNode):
                its_depth, its_cost = self.weigh(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                its_depth, its_cost = self._fragment(node.name.value)
            else:
                continue
            depth, cost = max(depth, its_depth), cost + its_cost
        return depth, cost

    def _fragment(self, name: str) -> tuple[int, int]:
        if name not in self._weighed:
            self._weighed[name] = self.weigh(self._fragments[name].selection_set)
        return self._weighed[name]

    def _field(self, node: FieldNode) -> tuple[int, int]:
        name = node.name.value
        if name.startswith("__"):
            # Introspection is of a small, fixed thing, and deep by nature.
            return 1, 1
        depth, cost = self.weigh(node.selection_set)
        return depth + 1, 1 + cost * (self._limit(node) if name in _LISTS else 1)

    def _limit(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value == "limit":
                value: Any = None
                if isinstance(argument.value, IntValueNode):
                    value = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    value = self._variables.get(argument.value.name.value)
                if isinstance(value, int):
                    return max(1, min(value, MAX_LIMIT))
        return DEFAULT_LIMIT


def check(document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
    """The operation's cost. `document` must be valid.

    Raises:
        GraphQLError: it is too deep or too costly.
    """
    depth, cost = _Weigher(document, variables).weigh(operation.selection_set)
    if depth > MAX_DEPTH:
        raise GraphQLError(f"the query is {depth} levels deep; at most {MAX_DEPTH} are allowed")
    if cost > MAX_COST:
        raise GraphQLError(f"the query costs {cost} (fields times limits); at most {MAX_COST} are allowed")
    return cost
