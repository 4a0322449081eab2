"""A daemon with a log of many small segments, and snapshots often: `python -m tests.support.small_log_daemon daemon …`.

So that a few hundred writes leave on its disk all that months do.
"""

from __future__ import annotations

import msgspec

import hivemind.daemon
from consensus.raft import RaftConfig
from hivemind.cli.main import main


class _SmallLog:
    """In the place of RaftConfig."""

    def __new__(cls) -> RaftConfig:  # type: ignore[misc]
        return _small(RaftConfig())

    @staticmethod
    def local() -> RaftConfig:
        return _small(RaftConfig.local())


def _small(config: RaftConfig) -> RaftConfig:
    return msgspec.structs.replace(config, segment_bytes=4096, snapshot_after_entries=200, tail_entries_kept=100)


if __name__ == "__main__":
    hivemind.daemon.RaftConfig = _SmallLog  # type: ignore[assignment, attr-defined]
    main()
