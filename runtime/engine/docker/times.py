"""The engine's times: RFC 3339 with nanoseconds in, Unix seconds out."""

from __future__ import annotations

import calendar
import re

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))")


def unix_seconds(text: str) -> float | None:
    """Unix seconds; None for the engine's zero time (year 1), which means never. ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    year, month, day, hour, minute, second = (int(match[n]) for n in range(1, 7))
    if year <= 1:
        return None
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    if match[8]:
        offset_s = int(match[9]) * 3600 + int(match[10]) * 60
        seconds -= offset_s if match[8] == "+" else -offset_s
    return seconds + float(match[7] or 0)
