"""Looking into exception groups."""

from __future__ import annotations


def first_error(error: BaseException) -> BaseException:
    """The first exception in a group, however deep; one that is no group is itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
