"""Points in time as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_utc(time_s: float) -> str:
    """Unix seconds as RFC 3339 in UTC, with milliseconds where there are any: ``2025-06-01T12:00:00Z``."""
    moment = datetime.fromtimestamp(round(time_s, 3), UTC)
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
