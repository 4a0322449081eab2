"""Health checks of an app: how its node finds out whether a replica is well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from consensus.model.quantity import Duration, duration_problems, duration_s

ProbePort = Annotated[int, Meta(ge=1, le=65535)]
ANY_GOOD_STATUS = "200-399"


def status_ranges(value: int | str) -> list[tuple[int, int]]:
    """The HTTP statuses that ``204``, ``200-399`` or ``200,301-302`` mean: first and last of each range.

    Raises:
        ValueError: it is none of these.
    """
    ranges = []
    for part in str(value).split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise ValueError(f"expected HTTP statuses such as 204, 200-399 or 200,301, got {value!r}")
        low, high = int(first), int(last or first)
        if not 100 <= low <= high <= 599:
            raise ValueError(f"expected HTTP statuses from 100 to 599, got {value!r}")
        ranges.append((low, high))
    return ranges


class HttpProbe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A GET from the replica's node. `port` is a container port, by default the app's first. Redirects are not
    followed, certificates are not checked: it asks whether the replica answers, not who it is."""

    path: Annotated[str, Meta(pattern=r"^/[^\s]*$", max_length=2048)] = "/"
    port: ProbePort | None = None
    scheme: Literal["http", "https"] = "http"
    status: int | str = ANY_GOOD_STATUS
    headers: dict[str, str] = field(default_factory=dict)


class TcpProbe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A connection from the replica's node that is taken. `port` as in HttpProbe."""

    port: ProbePort | None = None


class HealthCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a replica is probed: by one of `command`, `http` and `tcp`.

    `command` is run in the container by its shell; exit code 0 is a pass (Docker's HEALTHCHECK).
    `retries` failures in a row make a replica unhealthy; it is then restarted by the app's restart policy.
    """

    command: Annotated[str, Meta(min_length=1)] | None = None
    http: HttpProbe | None = None
    tcp: TcpProbe | None = None
    interval: Duration = "30s"
    timeout: Duration = "5s"
    retries: Annotated[int, Meta(ge=1, le=1000)] = 3
    start_period: Duration = "0s"

    @property
    def interval_s(self) -> float:
        return duration_s(self.interval)

    @property
    def timeout_s(self) -> float:
        return duration_s(self.timeout)

    @property
    def start_period_s(self) -> float:
        return duration_s(self.start_period)

    def problems(self, *, has_tcp_port: bool) -> Iterator[tuple[str, str]]:
        """What the types cannot say. `has_tcp_port`: the app has a port that is probed where none is named."""
        kinds = [name for name in ("command", "http", "tcp") if getattr(self, name) is not None]
        if len(kinds) != 1:
            yield "", f"expected one of command, http and tcp, got {' and '.join(kinds) or 'none of them'}"
        for name in ("http", "tcp"):
            probe: HttpProbe | TcpProbe | None = getattr(self, name)
            if probe is not None and probe.port is None and not has_tcp_port:
                yield f"{name}.port", "required, since the app has no tcp port in `ports`"
        if self.http is not None:
            yield from self._http_problems(self.http)
        yield from duration_problems(self, ("interval", "timeout", "start_period"), positive=("interval", "timeout"))

    @staticmethod
    def _http_problems(probe: HttpProbe) -> Iterator[tuple[str, str]]:
        try:
            status_ranges(probe.status)
        except ValueError as error:
            yield "http.status", str(error)
        for name, value in probe.headers.items():
            if not name or any(character in name + value for character in "\r\n\0") or ":" in name:
                yield "http.headers", f"expected names and values of one line, got {name!r}"
