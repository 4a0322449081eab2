"""Memory sizes and durations as users write them, and what they mean in bytes and seconds.

A value is stored and returned as it was given; these functions say what it means. Memory: ``256M`` is
256·1024² bytes; ``K M G T`` and ``Ki Mi Gi Ti`` mean the same, as in Docker; a bare number is bytes.
Durations: ``250ms``, ``30s``, ``5m``, ``1h``, also joined (``1m30s``, as Go writes them); a bare number is
seconds.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

Memory = str | int
Duration = str | int | float

MOST_BYTES = 1 << 60
LONGEST_S = 100 * 366 * 86400.0
"""A hundred years. More is a slip, and no clock can count it."""

_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_MEMORY_FACTOR = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_FACTOR_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def memory_bytes(value: Memory) -> int:
    """The number of bytes that `value` means.

    Raises:
        ValueError: it is negative, not a size or more than MOST_BYTES.
    """
    match = _MEMORY.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"expected a size such as 256M or 1Gi, got {_told(value)}")
    found = float(match[1]) * _MEMORY_FACTOR[match[2].upper()]
    if found > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES >> 40}T, got {_told(value)}")
    return value if isinstance(value, int) else int(found)


def duration_s(value: Duration) -> float:
    """The number of seconds that `value` means.

    Raises:
        ValueError: it is negative, not a duration or more than LONGEST_S.
    """
    seconds = _seconds(value) if isinstance(value, str) else value
    if seconds < 0:
        raise ValueError(f"expected a duration such as 30s, got {_told(value)}")
    if seconds > LONGEST_S:
        raise ValueError(f"expected a hundred years at most, got {_told(value)}")
    return float(seconds)


def _seconds(value: str) -> float:
    text = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"expected a duration such as 30s, 5m or 250ms, got {_told(value)}")
    return sum(float(number) * _DURATION_FACTOR_S[unit] for number, unit in parts)


def _told(value: object) -> str:
    return repr(value) if len(str(value)) <= 40 else f"{str(value)[:40]}…"


def duration_problems(
    value: object, names: Iterable[str], *, positive: Container[str] = ()
) -> Iterator[tuple[str, str]]:
    """What is wrong with those attributes of `value` that are durations (or None): pairs of name and complaint."""
    for name in names:
        given = getattr(value, name)
        if given is None:
            continue
        try:
            seconds = duration_s(given)
        except ValueError as error:
            yield name, str(error)
        else:
            if name in positive and seconds <= 0:
                yield name, "expected more than 0 seconds"
