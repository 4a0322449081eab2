"""How backups are called, and which of them are too old. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from consensus.model.backup import Retention

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<volume>.+)-(?P<stamp>\d{8}T\d{6}Z)-(?P<number>\d+)\.tar\.(?:zst|gz)(?P<sealed>\.sealed)?")
_SUFFIXES = {"zstd": "zst", "gzip": "gz"}


class BackupName(Struct, frozen=True, kw_only=True):
    """What a name says; `began_s` is Unix time, to the second."""

    text: str
    volume: str
    began_s: float
    number: int
    sealed: bool


def name_of(volume: str, *, began_s: float, number: int, compression: str, sealed: bool) -> str:
    stamp = datetime.fromtimestamp(began_s, UTC).strftime(_STAMP)
    return f"{volume}-{stamp}-{number}.tar.{_SUFFIXES[compression]}{'.sealed' if sealed else ''}"


def parsed(text: str) -> BackupName | None:
    """None where it is no name of ours."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    try:
        began = datetime.strptime(found["stamp"], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return BackupName(
        text=text,
        volume=found["volume"],
        began_s=began.timestamp(),
        number=int(found["number"]),
        sealed=found["sealed"] is not None,
    )


def backups_of(volume: str, names: Iterable[str]) -> list[BackupName]:
    """Those of `volume`, the newest first."""
    found = [name for text in names if (name := parsed(text)) is not None and name.volume == volume]
    return sorted(found, key=lambda name: (name.began_s, name.number), reverse=True)


def too_old(newest_first: list[BackupName], keep: Retention, now_s: float) -> list[BackupName]:
    """What `keep` does not keep; never the newest."""
    return [
        name
        for place, name in enumerate(newest_first)
        if place and ((keep.count is not None and place >= keep.count) or now_s - name.began_s > keep.age_s)
    ]
