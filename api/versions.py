"""``Accept: application/json; version=1.0``: which version of the API a client wants."""

from __future__ import annotations

from api.errors import NotAcceptable

VERSIONS = ("1.0",)
_KNOWN = frozenset((*VERSIONS, "1"))


def check(accept: str | None) -> None:
    """Without a version the newest is answered.

    Raises:
        NotAcceptable: every range that names a version names one that there is not.
    """
    if accept is None or "version" not in accept:
        return
    asked = []
    for media_range in accept.split(","):
        version = _version(media_range)
        if version is None or version in _KNOWN:
            return
        asked.append(version)
    raise NotAcceptable(f"there is no version {asked[0][:20]!r} of this API; there are: {', '.join(VERSIONS)}")


def _version(media_range: str) -> str | None:
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "version":
            return value.strip().strip('"')
    return None
