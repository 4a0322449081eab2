"""The engine's packet rules as this node last saw them, kept over a restart of the daemon, but not of the machine.

Rules that vanish while no daemon runs could else not be missed: an engine without rules may be one that makes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
import trio
from msgspec import Struct

from consensus import durable
from runtime.network.overlay.engine_rules import TableRules

log = structlog.get_logger()

FILE = "engine-rules.msgpack"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Known = Mapping[bool, Mapping[str, TableRules]]
"""By family (True: IPv6) and table."""


class RuleMemory(Protocol):
    async def load(self) -> Known: ...
    async def save(self, known: Known) -> None: ...


class _Kept(Struct, frozen=True):
    boot_id: str
    ipv4: dict[str, TableRules]
    ipv6: dict[str, TableRules]


class FileMemory:
    """In a file of `folder`. What cannot be read or written is logged: the overlay does without."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    async def load(self) -> Known:
        return await trio.to_thread.run_sync(self._load)

    def _load(self) -> Known:
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
            # With the machine, all rules began anew, and so did containers' addresses.
            return {False: kept.ipv4, True: kept.ipv6} if kept.boot_id == _boot_id() else {}
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("engine_rules_not_read", path=str(self._path), reason=str(error))
            return {}

    async def save(self, known: Known) -> None:
        await trio.to_thread.run_sync(self._save, known)

    def _save(self, known: Known) -> None:
        try:
            kept = _Kept(_boot_id(), dict(known.get(False, {})), dict(known.get(True, {})))
            durable.write(self._path, msgspec.msgpack.encode(kept))
        except OSError as error:
            log.warning("engine_rules_not_kept", path=str(self._path), reason=str(error))


def forget(folder: Path) -> None:
    """The node's next membership sees for itself."""
    (folder / FILE).unlink(missing_ok=True)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
