"""Query parameters, parsed by the kind that the route declares; a complaint names the parameter."""

from __future__ import annotations

from collections.abc import Iterable

from api.errors import InvalidRequest
from api.route import Kind, Parameter
from api.times import parse_time

COMMON = (
    Parameter("consistent", Kind.BOOLEAN, "first confirm with the leader that this answer is the newest"),
    Parameter("wait", Kind.INTEGER, "answer when there is news after this index (X-Hivemind-Index), or at the timeout"),
    Parameter("timeout", Kind.DURATION, "how long to wait at most: 30s if nothing is said, up to 10m"),
)
"""What every GET takes."""
_TRUE, _FALSE = ("true", "1", "yes", ""), ("false", "0", "no")


class Query:
    """The parameters of one request, each given at most once."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.values: dict[str, str] = {}
        for name, value in pairs:
            if name in self.values:
                raise InvalidRequest(f"parameter {name!r} is given twice")
            self.values[name] = value

    def refuse_unknown(self, known: Iterable[Parameter]) -> None:
        names = {parameter.name for parameter in known}
        for name in self.values:
            if name not in names:
                expected = ", ".join(sorted(names)) or "none"
                raise InvalidRequest(f"unknown parameter {name!r}; there are: {expected}")

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def integer(self, name: str, *, least: int = 0, most: int | None = None) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        try:
            number = int(value) if len(value) < 20 else None
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            raise InvalidRequest(f"parameter {name!r}: expected an integer, {limits}, got {value[:40]!r}")
        return number

    def boolean(self, name: str) -> bool:
        value = self.values.get(name)
        if value is None:
            return False
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise InvalidRequest(f"parameter {name!r}: expected true or false, got {value[:40]!r}")

    def time_s(self, name: str) -> float | None:
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return parse_time(value)
        except (ValueError, OverflowError) as error:
            raise InvalidRequest(f"parameter {name!r}: {error}") from None

    def words(self, name: str) -> tuple[str, ...]:
        """A comma-separated list."""
        value = self.values.get(name)
        return tuple(word.strip() for word in value.split(",") if word.strip()) if value else ()
