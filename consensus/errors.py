"""The error tree of consensus.

ConsensusError
├── Unavailable       no leader was found in time: certainly not applied; try again
│   └── StorageFull   there is none because the disk has no room for the log
└── OutcomeUnknown    it may or may not be applied later; retry only with the same command id
"""

from __future__ import annotations


class ConsensusError(Exception):
    """Base of what proposing can raise. A refused command is not an error but an outcome."""


class Unavailable(ConsensusError):
    """`retry_after_s` is a hint for the client."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageFull(Unavailable):
    """The cluster recovers by itself when there is room again."""


class OutcomeUnknown(ConsensusError):
    """The deadline passed while the command was under way."""
