"""Who may knock: counts of connections and unfinished handshakes, by address. Pure."""

from __future__ import annotations

from collections import Counter

from hivemind.peer.config import PeerConfig


class Admission:
    """Counts what is open and says no to what would be too much."""

    def __init__(self, config: PeerConfig) -> None:
        self._config = config
        self._connections: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()

    @property
    def stranger_count(self) -> int:
        """Connections whose hello is not done."""
        return self._strangers.total()

    def enter(self, address: str) -> str | None:
        """A connection was accepted. Returns why it must be closed at once, or None: then it is counted."""
        if self.stranger_count >= self._config.max_handshakes:
            return "too many handshakes at once"
        if self._strangers[address] >= self._config.max_handshakes_per_address:
            return "too many handshakes at once from this address"
        if self._connections[address] >= self._config.max_connections_per_address:
            return "too many connections from this address"
        self._connections[address] += 1
        self._strangers[address] += 1
        return None

    def known(self, address: str) -> None:
        """The connection's hello is done: it is no stranger any more."""
        _less(self._strangers, address)

    def leave(self, address: str, *, was_stranger: bool) -> None:
        """The connection is closed."""
        _less(self._connections, address)
        if was_stranger:
            _less(self._strangers, address)


class LogBudget:
    """Lets a burst of log lines through and then some a second, so that rubbish cannot fill the disk."""

    def __init__(self, *, burst: int = 20, per_s: float = 1.0) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._last_s: float | None = None
        self.suppressed = 0

    def take(self, now_s: float) -> bool:
        """Whether a line may be written now. ``suppressed`` counts those that may not."""
        if self._last_s is not None:
            self._left = min(self._burst, self._left + (now_s - self._last_s) * self._per_s)
        self._last_s = now_s
        if self._left < 1:
            self.suppressed += 1
            return False
        self._left -= 1
        return True


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
