"""What a call can raise.

ClientError
├── ServerUnreachable   no answer could be had
└── ApiError            the API refused: status, code and message as in the reference
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of the client's errors."""


class ServerUnreachable(ClientError):
    """Connecting failed, or the connection broke."""


class ApiError(ClientError):
    """An answer with ``"success": false``."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
