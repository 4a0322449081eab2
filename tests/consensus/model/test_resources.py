"""What a replica asks for, and the most that it may take."""

from __future__ import annotations

import pytest

from consensus.model.workload import Resources


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        (Resources(memory="1G", memory_limit="1024M", cpu=1, cpu_limit=1), {}),
        (Resources(cpu=2, cpu_limit=1), {"cpu_limit": "expected at least resources.cpu (2), got 1"}),
        (
            Resources(memory="2G", memory_limit="1G"),
            {"memory_limit": "expected at least resources.memory (2G), got 1G"},
        ),
        (Resources(memory_limit=0), {"memory_limit": "expected more than 0; without it there is no limit"}),
        (
            Resources(memory="lots", memory_limit=0),
            {"memory": "expected a size such as 256M or 1Gi, got 'lots'"},
        ),
    ],
)
def test_no_limit_is_below_what_is_asked_for(resources: Resources, told: dict[str, str]) -> None:
    """Of memory it was taken, and the replica was placed where it could never have what it asked for."""
    assert dict(resources.problems()) == told
