"""Whose state is right: what most voters say, and the leader in a tie."""

from __future__ import annotations

import pytest

from hivemind.state_check import differing

A, B, C = b"a", b"b", b"c"


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ({"l": A, "v": A, "w": A, "learner": A}, {}),
        ({"l": A}, {}),
        ({"l": A, "v": A, "w": B}, {"w": "l"}),
        ({"l": A, "v": A, "w": A, "learner": B}, {"learner": "l"}),
        ({"l": A, "v": B, "w": B}, {"l": "v"}),
        ({"l": A, "v": B}, {"v": "l"}),
        ({"l": A, "v": B, "w": C}, {"v": "l", "w": "l"}),
        ({"l": A, "learner": B, "other": B}, {"learner": "l", "other": "l"}),
        ({"l": A, "v": B, "w": B, "learner": A}, {"l": "v", "learner": "v"}),
    ],
)
def test_who_differs_and_who_has_it_right(chains: dict[str, bytes], expected: dict[str, str]) -> None:
    assert differing(chains, ["l", "v", "w"], "l") == expected
