"""Scheduled backups of a volume: where they go, how long they are kept, and how the last ones went."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from consensus.model.quantity import Duration, duration_problems, duration_s
from consensus.model.schedule import schedule_problems
from consensus.model.workload import Name

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_MAX_PREFIX = 512


class DirectoryTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="directory"):
    """A directory of the volume's node, such as a mounted disk; it must be there."""

    path: Annotated[str, Meta(max_length=4096)]

    def problems(self) -> Iterator[tuple[str, str]]:
        if not self.path.startswith("/") or ".." in self.path.split("/") or "\0" in self.path:
            yield "path", f"expected an absolute path without '..', got {self.path!r}"


class S3Place(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where in an S3 store: below `prefix` in `bucket`. Without `endpoint` it is AWS's of the region.

    Without `access_key_id` the node's own credentials are used: its environment, files or instance role.
    """

    bucket: Annotated[str, Meta(max_length=63)]
    prefix: Annotated[str, Meta(max_length=_MAX_PREFIX)] = ""
    endpoint: Annotated[str, Meta(max_length=1024)] | None = None
    region: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "us-east-1"
    access_key_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        if _BUCKET.fullmatch(self.bucket) is None:
            yield "bucket", f"expected the name of a bucket, got {self.bucket!r}"
        if self.prefix.startswith("/") or not self.prefix.isprintable():
            yield "prefix", f"expected printable text that does not begin with /, got {self.prefix!r}"
        if self.endpoint is not None and not _is_endpoint(self.endpoint):
            yield "endpoint", f"expected an http or https URL without credentials and path, got {self.endpoint!r}"


class S3Target(S3Place, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="s3"):
    """As the cluster keeps it: the secret key is sealed for its members."""

    secret_key_sealed: bytes | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if (self.access_key_id is None) != (self.secret_key_sealed is None):
            yield "secret_access_key", "expected with access_key_id, and only with it"


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in text and bare and port_is_valid


Target = DirectoryTarget | S3Target


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is kept: the newest `count`, none older than `age`. Without both all are; the newest always is."""

    count: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    age: Duration | None = None

    @property
    def age_s(self) -> float:
        return float("inf") if self.age is None else duration_s(self.age)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from duration_problems(self, ("age",), positive=("age",))


class BackupTiming(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a schedule is kept as it was given.

    Attributes:
        schedule: as a job's: five fields of cron, six with seconds first, or a nickname such as @daily.
        time_zone: the IANA name of the zone in which `schedule` is read.
        timeout: for one backup, from its beginning.
    """

    name: Name
    volume: Name
    schedule: Annotated[str, Meta(min_length=1, max_length=200)]
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    compression: Literal["zstd", "gzip"] = "zstd"
    keep: Retention = Retention()
    suspended: bool = False
    timeout: Duration = "12h"

    @property
    def timeout_s(self) -> float:
        return duration_s(self.timeout)


class BackupSpec(BackupTiming, frozen=True, kw_only=True, omit_defaults=True):
    """`passphrase_sealed`: what the backups are encrypted by, sealed for the members; None: they are in the clear."""

    target: Target
    passphrase_sealed: bytes | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        """What the types cannot say: pairs of field path and what was expected there."""
        yield from schedule_problems(self.schedule, self.time_zone)
        yield from duration_problems(self, ("timeout",), positive=("timeout",))
        yield from ((f"keep.{name}", text) for name, text in self.keep.problems())
        yield from ((f"target.{name}", text) for name, text in self.target.problems())


class BackupRun(Struct, frozen=True, kw_only=True):
    """One that goes on, on the node that has the volume."""

    number: int
    node_id: str
    started_at_s: float


class BackupResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one ended: `error`, or the name under which it was stored.

    `warning`: it is whole, but not all that was too old could be deleted.
    """

    number: int
    node_id: str
    started_at_s: float
    ended_at_s: float
    error: str = ""
    stored: str = ""
    size_bytes: int = 0
    deleted: int = 0
    warning: str = ""


class BackupSchedule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule as the cluster keeps it.

    Attributes:
        next_number: of its next backup.
        scheduled_until_s: the schedule's instants up to this one, in Unix seconds, are dealt with.
        failures: how many ended badly since the last that ended well.
        skipped: why the last instant that was left out was.
    """

    spec: BackupSpec
    created_at_s: float
    updated_at_s: float
    next_number: int = 1
    scheduled_until_s: float = 0.0
    running: BackupRun | None = None
    last: BackupResult | None = None
    last_good: BackupResult | None = None
    failures: int = 0
    skipped: str = ""

    @property
    def name(self) -> str:
        return self.spec.name
