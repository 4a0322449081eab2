from __future__ import annotations

import pytest

from consensus.model.affinity import affinity_labels, parse_affinity
from consensus.model.node import Node
from tests.consensus.making import facts

NODE = Node(id="n1", facts=facts(1, role="frontend", zone="a"), labels={"zone": "b"}, status_since_s=0, joined_at_s=0)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("role=frontend", True),
        ("role==frontend", True),
        ("role = backend", False),
        ("role!=backend", True),
        ("role != frontend", False),
        ("gpu!=yes", True),
        ("gpu=yes", False),
        ("zone=b", True),
        ("zone in (a, b)", True),
        ("zone in (a,c)", False),
        ("role=frontend, zone in (b,c), node.id=n1", True),
        ("zone notin (a,c)", True),
        ("zone notin (a, b), role=frontend", False),
        ("gpu notin (yes)", True),
        ("role=frontend,node.id!=n1", False),
        ("node.arch=x86_64", True),
        ("", True),
    ],
)
def test_all_terms_must_hold(text: str, holds: bool) -> None:
    labels = affinity_labels(NODE)
    assert all(term.holds(labels) for term in parse_affinity(text)) is holds


@pytest.mark.parametrize("text", ["role", "role=", "=x", "zone in ()", "zone in a,b", "a=b=c", "a in (b", "a notin ()"])
def test_what_is_no_affinity_is_refused_by_its_words(text: str) -> None:
    with pytest.raises(ValueError, match="expected key=value"):
        parse_affinity(text)
