"""The two rate limits of the reference: per IP address, and per user."""

from __future__ import annotations

from api.deps import Settings
from api.errors import RateLimited
from api.ratelimit import Budget, SlidingWindow

MINUTE_S = 60.0
HOUR_S = 3600.0


def _window(limit: int | None, window_s: float) -> SlidingWindow | None:
    return None if limit is None else SlidingWindow(limit, window_s)


class RateLimits:
    """Counts requests; a limit that the settings leave out counts nothing."""

    def __init__(self, settings: Settings) -> None:
        self._per_ip = _window(settings.requests_per_ip_per_minute, MINUTE_S)
        self._per_user = _window(settings.requests_per_user_per_hour, HOUR_S)

    def of_ip(self, address: str, now_s: float) -> Budget | None:
        return None if self._per_ip is None else self._per_ip.spend(address, now_s)

    def of_user(self, user_id: str, now_s: float, *, cost: int = 1) -> Budget | None:
        return None if self._per_user is None else self._per_user.spend(user_id, now_s, cost=cost)


def tighter(one: Budget | None, other: Budget | None) -> Budget | None:
    """Of the two, the one that refuses or has less left: that is what the client must mind."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda budget: (budget.allowed, budget.remaining))


def headers(budget: Budget, now_s: float) -> dict[str, str]:
    """`X-RateLimit-Reset` is unix time in seconds."""
    return {
        "X-RateLimit-Limit": str(budget.limit),
        "X-RateLimit-Remaining": str(budget.remaining),
        "X-RateLimit-Reset": str(round(now_s + budget.reset_s)),
    }


def enforce(budget: Budget | None) -> None:
    """Raises RateLimited where the budget is spent."""
    if budget is not None and not budget.allowed:
        raise RateLimited(budget.retry_after_s)
