"""Exception → status and code: the only place.

ApiError
├── InvalidRequest          400 invalid_request
├── AuthenticationFailed    401 authentication_failed
├── PermissionDenied        403 permission_denied
├── NotFound                404 resource_not_found
├── MethodNotAllowed        405 method_not_allowed
├── RequestTimeout          408 request_timeout
├── NotAcceptable           406 not_acceptable
├── Conflict                409 resource_conflict
├── PreconditionFailed      412 precondition_failed
├── PayloadTooLarge         413 payload_too_large
├── UnsupportedMediaType    415 unsupported_media_type
├── HeadTooLarge            431 request_head_too_large
├── RateLimited             429 rate_limit_exceeded
│   └── LockedOut
├── InternalError           500 internal_error
├── Unavailable             503 unavailable
│   └── StorageFull         503 storage_full
└── Timeout                 504 timeout
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping

import structlog
from msgspec import Struct
from werkzeug.exceptions import HTTPException

from api.deps import (
    ContainerGone,
    KeyRoundIncomplete,
    KeyRoundRefused,
    KeyUnknown,
    LeaveRefused,
    NodeUnreachable,
)
from api.upkeep import LeadershipKept
from api.volume_gateway import (
    ArchiveInvalid,
    BackupStoreUnavailable,
    VolumeConflict,
    VolumeDiskFull,
    VolumeMissing,
    VolumeUnavailable,
)
from consensus import errors as consensus_errors
from consensus.outcomes import Refusal, RefusalCode

log = structlog.get_logger()

STORAGE_RETRY_S = 10.0
"""A full disk is seldom emptied within a second."""


class ApiError(Exception):
    """Base of what is answered with an error; `headers` go with the answer."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})

    @classmethod
    def told(cls, message: str, headers: Mapping[str, str]) -> ApiError:
        """An error of this kind, with these words."""
        error = cls.__new__(cls)
        ApiError.__init__(error, message, headers=headers)
        return error


class InvalidRequest(ApiError):
    status, code = 400, "invalid_request"


class AuthenticationFailed(ApiError):
    status, code = 401, "authentication_failed"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": 'Bearer realm="hivemind", Basic realm="hivemind"'})


class PermissionDenied(ApiError):
    status, code = 403, "permission_denied"


class NotFound(ApiError):
    status, code = 404, "resource_not_found"


class MethodNotAllowed(ApiError):
    status, code = 405, "method_not_allowed"


class NotAcceptable(ApiError):
    status, code = 406, "not_acceptable"


class RequestTimeout(ApiError):
    status, code = 408, "request_timeout"


class Conflict(ApiError):
    status, code = 409, "resource_conflict"


class PreconditionFailed(ApiError):
    status, code = 412, "precondition_failed"


class PayloadTooLarge(ApiError):
    status, code = 413, "payload_too_large"


class UnsupportedMediaType(ApiError):
    status, code = 415, "unsupported_media_type"


class HeadTooLarge(ApiError):
    status, code = 431, "request_head_too_large"


class RateLimited(ApiError):
    status, code = 429, "rate_limit_exceeded"

    def __init__(self, retry_after_s: float) -> None:
        seconds = max(1, math.ceil(retry_after_s))
        super().__init__(f"Rate limit exceeded. Try again in {seconds} seconds.", headers={"Retry-After": str(seconds)})


class LockedOut(RateLimited):
    """Passwords are being guessed."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.message = f"Too many wrong passwords. Try again in {self.headers['Retry-After']} seconds."


class InternalError(ApiError):
    status, code = 500, "internal_error"


class Unavailable(ApiError):
    status, code = 503, "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message, headers={"Retry-After": str(max(1, math.ceil(retry_after_s)))})


class StorageFull(Unavailable):
    code = "storage_full"


class Timeout(ApiError):
    status, code = 504, "timeout"


_BY_REFUSAL = {
    RefusalCode.INVALID: InvalidRequest,
    RefusalCode.NOT_FOUND: NotFound,
    RefusalCode.CONFLICT: Conflict,
    RefusalCode.CHANGED: PreconditionFailed,
    RefusalCode.DENIED: PermissionDenied,
}


def refused(refusal: Refusal) -> ApiError:
    """What the cluster's refusal of a command is to the client."""
    return _BY_REFUSAL[refusal.code](refusal.message)


def _unavailable(error: Exception) -> ApiError:
    retry_after_s = error.retry_after_s if isinstance(error, consensus_errors.Unavailable) else 1.0
    return Unavailable(str(error), retry_after_s=retry_after_s)


_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Exception], ApiError]], ...] = (
    (consensus_errors.StorageFull, lambda error: StorageFull(str(error), retry_after_s=STORAGE_RETRY_S)),
    (consensus_errors.Unavailable, _unavailable),
    (consensus_errors.OutcomeUnknown, lambda error: Timeout(str(error))),
    (NodeUnreachable, _unavailable),
    (LeaveRefused, lambda error: Conflict(str(error))),
    (VolumeUnavailable, _unavailable),
    (BackupStoreUnavailable, _unavailable),
    (VolumeMissing, lambda error: NotFound(str(error))),
    (VolumeConflict, lambda error: Conflict(str(error))),
    (ArchiveInvalid, lambda error: InvalidRequest(str(error))),
    (VolumeDiskFull, lambda error: StorageFull(str(error), retry_after_s=STORAGE_RETRY_S)),
    (LeadershipKept, lambda error: Conflict(str(error))),
    (KeyUnknown, lambda error: NotFound(str(error))),
    (KeyRoundRefused, lambda error: Conflict(str(error))),
    (KeyRoundIncomplete, _unavailable),
    (ContainerGone, lambda error: NotFound(str(error) or "the container's node does not have it")),
)

_HTTP_MESSAGES: dict[int, tuple[type[ApiError], str]] = {
    400: (InvalidRequest, "the request cannot be read"),
    404: (NotFound, "there is nothing at this path"),
    405: (MethodNotAllowed, "this path does not answer this method"),
    408: (RequestTimeout, "the request took too long to arrive"),
    413: (PayloadTooLarge, "the request's body is too large"),
    415: (UnsupportedMediaType, "expected a body of type application/json"),
    431: (HeadTooLarge, "the request's head is too large"),
    501: (InvalidRequest, "the request uses something that is not supported here"),
}


def of_status(status: int) -> ApiError:
    """The error for a status that the HTTP machinery below the API decided on."""
    kind, message = _HTTP_MESSAGES.get(status, (InvalidRequest, "the request was refused"))
    return kind(message)


def translate(error: BaseException) -> ApiError:
    """What `error` is to the client. What nobody foresaw is logged under an id, and only the id is told."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return translate(error.exceptions[0])
    if isinstance(error, HTTPException):
        answer = of_status(error.code or 500)
        valid_methods = getattr(error, "valid_methods", None)
        if valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(valid_methods))
        return answer
    for kind, translation in _TRANSLATIONS:
        if isinstance(error, kind):
            return translation(error)
    error_id = secrets.token_hex(6)
    log.error("internal_error", error_id=error_id, exc_info=error)
    return InternalError(f"internal error {error_id}; the node's log says more")


class ErrorBody(Struct, frozen=True):
    code: str
    message: str


class ErrorEnvelope(Struct, frozen=True, kw_only=True):
    success: bool = False
    error: ErrorBody


def envelope_of(error: ApiError) -> ErrorEnvelope:
    return ErrorEnvelope(error=ErrorBody(error.code, error.message))
