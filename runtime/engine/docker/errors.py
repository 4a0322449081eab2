"""What the Docker client raises.

DockerError                 the engine answered with an error status
└── DockerConnectionError   there was no answer, or it broke off (status 900, as in aiodocker)
"""

from __future__ import annotations


class DockerError(Exception):
    """An error answer: its HTTP `status` and the engine's `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message


class DockerConnectionError(DockerError):
    """The engine cannot be reached, or the connection broke."""

    def __init__(self, message: str) -> None:
        super().__init__(900, message)
