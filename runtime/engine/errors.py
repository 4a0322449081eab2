"""What an engine can refuse or fail at.

    EngineError
    ├── EngineUnavailable      temporary: no answer, the connection broke, the engine is stopping
    ├── EngineBusy             temporary: the engine answers but cannot do it just now (5xx)
    ├── ImageNotFound          not here and not in its registry
    ├── ForeignImage           it is here, and made for another architecture
    ├── ImagePullFailed        temporary: the pull failed, in the engine's words
    ├── RegistryRefused        the registry wants other credentials, or forbids it
    ├── ContainerNotFound
    ├── ContainerNotRunning    exec, kill or stats on a container that is not running
    ├── ContainerRunning       remove without force of a container that runs
    ├── VolumeNotFound
    ├── VolumeInUse
    ├── NameConflict           the name is taken by another container
    └── InvalidSpec            the engine will never accept this spec

`temporary` separates what may be retried as it is from what needs another spec or a human. The text of an
error is the engine's own where it gave one.
"""

from __future__ import annotations

from typing import ClassVar


class EngineError(Exception):
    """Base of everything an engine raises on purpose; `str()` is a sentence for the user."""

    temporary: ClassVar[bool] = False


class EngineUnavailable(EngineError):
    """The engine did not answer, or its connection broke."""

    temporary: ClassVar[bool] = True


class EngineBusy(EngineError):
    """The engine failed inside (Docker: status 5xx) at something that may work later."""

    temporary: ClassVar[bool] = True


class ImageNotFound(EngineError):
    """The image is neither present nor known to its registry."""


class ForeignImage(EngineError):
    """The image is made for another architecture than this machine runs."""

    def __init__(self, image: str, architecture: str, machine: str) -> None:
        super().__init__(f"image {image} is made for {architecture}, and this machine is {machine}")
        self.architecture = architecture


class ImagePullFailed(EngineError):
    """The pull failed: network, registry, credentials; the engine's words."""

    temporary: ClassVar[bool] = True


class RegistryRefused(EngineError):
    """The registry does not tell of the image to whoever asks with these credentials, or without any."""


class ContainerNotFound(EngineError):
    """No container has this id or name (any more)."""


class ContainerNotRunning(EngineError):
    """The container exists and does not run."""


class ContainerRunning(EngineError):
    """The container runs, and must not for this."""


class VolumeNotFound(EngineError):
    """No volume has this name."""


class VolumeInUse(EngineError):
    """A container still mounts the volume."""


class NameConflict(EngineError):
    """Another container has this name."""


class InvalidSpec(EngineError):
    """The engine refuses the spec; trying again will not help."""
