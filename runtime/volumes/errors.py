"""What goes wrong with a volume's data.

VolumeError
├── VolumeUnreachable    temporary: the node that has it, or its engine, does not answer
├── VolumeNotHere        the node has no data of it
├── VolumeUnsupported    its files cannot be read from where the daemon runs
├── VolumeBusy           temporary: something else is being done with it
├── ArchiveRefused       what was sent is no whole archive, or the directory changed while it was read
├── VolumeStorageFull    temporary: the disk of its node has no room
├── BackupMissing        there is no such schedule, or no backup of that name
└── BackupStoreFailed    the store of its scheduled backups does not answer, or refuses
"""

from __future__ import annotations

from typing import ClassVar


class VolumeError(Exception):
    """Base; the text is for the user."""

    code: ClassVar[str] = "error"


class VolumeUnreachable(VolumeError):
    code: ClassVar[str] = "unreachable"


class VolumeNotHere(VolumeError):
    code: ClassVar[str] = "not_here"


class VolumeUnsupported(VolumeError):
    code: ClassVar[str] = "unsupported"


class VolumeBusy(VolumeError):
    code: ClassVar[str] = "busy"


class ArchiveRefused(VolumeError):
    code: ClassVar[str] = "archive"


class VolumeStorageFull(VolumeError):
    code: ClassVar[str] = "full"


class BackupMissing(VolumeError):
    code: ClassVar[str] = "no_backup"


class BackupStoreFailed(VolumeError):
    code: ClassVar[str] = "store"


_KINDS = (
    VolumeUnreachable,
    VolumeNotHere,
    VolumeUnsupported,
    VolumeBusy,
    ArchiveRefused,
    VolumeStorageFull,
    BackupMissing,
    BackupStoreFailed,
)


def error_of(code: str, message: str) -> VolumeError:
    """The error that another node told of."""
    return next((kind for kind in _KINDS if kind.code == code), VolumeError)(message)
