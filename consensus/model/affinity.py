"""Node affinity: ``role=frontend, node.arch != arm64, zone in (a, b), disk notin (hdd)``. All of its terms must hold.

Keys are labels of the node; `node.id` and `node.arch` are built in. A label that a node lacks is unequal to anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from consensus.model.node import Node

_KEY = r"([A-Za-z0-9][A-Za-z0-9._/-]*)"
_VALUE = r"([^\s,()=!]+)"
_COMPARISON = re.compile(rf"\s*{_KEY}\s*(==|=|!=)\s*{_VALUE}\s*")
_CHOICE = re.compile(rf"\s*{_KEY}\s+(in|notin)\s*\(([^()]*)\)\s*")
_TERMS = re.compile(r",(?![^(]*\))")


class Term(Struct, frozen=True):
    """`key` is one of `values`, or (`negated`) none of them."""

    key: str
    values: frozenset[str]
    negated: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        return (labels.get(self.key) in self.values) is not self.negated


def parse_affinity(text: str) -> tuple[Term, ...]:
    """The terms of `text`.

    Raises:
        ValueError: it is not an affinity; the message says what was expected.
    """
    return tuple(_parse_term(part) for part in _TERMS.split(text) if part.strip())


def _parse_term(text: str) -> Term:
    match = _COMPARISON.fullmatch(text)
    if match is not None:
        return Term(match[1], frozenset((match[3],)), match[2] == "!=")
    match = _CHOICE.fullmatch(text)
    values = frozenset() if match is None else frozenset(v.strip() for v in match[3].split(",") if v.strip())
    if match is None or not values:
        raise ValueError(f"expected key=value, key!=value, key in (a,b) or key notin (a,b), got {text.strip()!r}")
    return Term(match[1], values, match[2] == "notin")


def affinity_labels(node: Node) -> dict[str, str]:
    """What terms are compared with: the node's labels, and what is built in."""
    return {**node.all_labels, "node.id": node.id, "node.arch": node.facts.architecture}
