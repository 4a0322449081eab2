"""Architectures of machines and images: their many names, and which runs which."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armv8": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armhf": "arm",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "x86": "386",
    "ppc64el": "ppc64le",
}
_ALSO_RUNS = {"amd64": ("386",), "arm64": ("arm",)}


def architecture(name: str) -> str:
    """As images call it (GOARCH): ``amd64`` for ``x86_64``. "" stays unknown."""
    given = name.strip().lower().partition("/")[0]
    return _NAMES.get(given, given)


def runs(machine: str, emulated: Iterable[str], image: str) -> bool:
    """Whether a machine runs images of that architecture, by itself or by emulation. What is unknown is no obstacle."""
    own, wanted = architecture(machine), architecture(image)
    if not own or not wanted or own == wanted or wanted in _ALSO_RUNS.get(own, ()):
        return True
    return wanted in map(architecture, emulated)
