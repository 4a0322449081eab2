"""A Docker Engine API client with aiodocker's interface, for trio and asyncio.

What differs from aiodocker, because nothing may run outside a nursery: streams (`log(follow=True)`,
`stats()`, `pull(stream=True)`, `events.subscribe()`, `exec.start()`) are async context managers; used without
`async with` they must be read to their end or closed with `aclose()`.

Paths are sent without a version prefix, which the engine reads as its own newest version: pinning one would
lock out either old engines or (Docker 29 refuses everything below 1.44) new ones.
"""

from runtime.engine.docker.client import Docker
from runtime.engine.docker.errors import DockerConnectionError, DockerError

__all__ = ["Docker", "DockerConnectionError", "DockerError"]
