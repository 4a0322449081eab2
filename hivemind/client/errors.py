"""What a call can raise.

ClientError
├── ServerUnreachable   no answer could be had, from none of the servers
├── UnexpectedAnswer    the answer is none that this client understands
└── ApiError            the API refused: status, code and message as in the reference
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of the client's errors."""


class ServerUnreachable(ClientError):
    """Connecting failed, or the connection broke. A write may have been done."""


class UnexpectedAnswer(ClientError):
    """A field is missing, or of another type."""


class ApiError(ClientError):
    """An answer with ``"success": false``."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
