"""Points in time as clients give them."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def parse_time(text: str) -> float:
    """Unix seconds from RFC 3339 (without a zone: UTC) or a number of unix seconds.

    Raises:
        ValueError: it is neither.
    """
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
        raise ValueError(f"expected a time such as 2025-06-01T12:00:00Z or unix seconds, got {text!r}")
    try:
        # "+" in a query string arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise ValueError(f"expected a time such as 2025-06-01T12:00:00Z or unix seconds, got {text!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
