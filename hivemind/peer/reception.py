"""How the members receive this node: whether all of them turn it away, because they have removed it. Pure."""

from __future__ import annotations


class Reception:
    """Told of every hello that got an answer. `reason` is what was said last by one that turns this node away."""

    def __init__(self) -> None:
        self.reason = ""
        self._since_s: float | None = None

    def welcomed(self) -> None:
        """One member at least holds this node for one."""
        self._since_s = None

    def turned_away(self, reason: str, now_s: float) -> None:
        self.reason = reason
        if self._since_s is None:
            self._since_s = now_s

    def turned_away_for_s(self, now_s: float) -> float:
        """For how long nobody has said anything else; 0 where nobody has said so."""
        return 0.0 if self._since_s is None else now_s - self._since_s
