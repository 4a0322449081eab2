"""The Docker client's errors become ours, by status; the text stays the engine's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from runtime.engine.docker import DockerConnectionError, DockerError
from runtime.engine.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    InvalidSpec,
    NameConflict,
    RegistryRefused,
    VolumeInUse,
    VolumeNotFound,
)

_UNMOUNTABLE = re.compile(r"failed to mount local volume: .*: no such device$")
"""ENODEV of mount(2). The engine answers as if it were at fault itself, which would be tried again for ever."""

Errors = Mapping[int, type[EngineError]]
CONTAINER_ERRORS: Errors = {404: ContainerNotFound}
RUNNING_ERRORS: Errors = {404: ContainerNotFound, 409: ContainerNotRunning}
CREATE_ERRORS: Errors = {404: ImageNotFound, 409: NameConflict}
REGISTRY_ERRORS: Errors = {401: RegistryRefused, 403: RegistryRefused, 404: ImageNotFound}
VOLUME_ERRORS: Errors = {404: VolumeNotFound, 409: VolumeInUse}


@contextmanager
def translated(errors: Errors) -> Iterator[None]:
    """The one place where the client's errors become ours: by status, the text stays the engine's."""
    try:
        yield
    except DockerConnectionError as error:
        raise EngineUnavailable(error.message) from error
    except DockerError as error:
        kind = errors.get(error.status)
        if _UNMOUNTABLE.search(error.message):
            raise InvalidSpec(f"{error.message}: the kernel of the engine's machine has no such file system") from error
        if kind is None:
            kind = InvalidSpec if error.status == 400 else EngineBusy if error.status >= 500 else EngineError
        raise kind(error.message) from error
