"""Which foreign architectures this machine's kernel runs through an emulator (binfmt_misc: qemu-user-static)."""

from __future__ import annotations

from pathlib import Path

from consensus.model.architecture import architecture

BINFMT = Path("/proc/sys/fs/binfmt_misc")
_PREFIX = "qemu-"


def emulated_architectures(folder: Path = BINFMT) -> list[str]:
    """As images call them. Reads a few lines of the kernel; none where it has no such thing."""
    found = set()
    for entry in sorted(folder.glob(f"{_PREFIX}*")):
        try:
            enabled = entry.read_text(errors="replace").startswith("enabled")
        except OSError:
            continue
        if enabled:
            found.add(architecture(entry.name.removeprefix(_PREFIX)))
    return sorted(found)
