"""Files that are served as they are, to everybody: the pages of the dashboard, which then ask the API."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Response
from quart.wrappers import Request

from api import etags
from api.deps import StaticFile
from api.errors import MethodNotAllowed

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The pages load nothing from elsewhere, run nothing that is written into them, and are shown in no other's page."""


def answer(files: Mapping[str, StaticFile], request: Request) -> Response | None:
    """None where `request` names no file.

    Raises:
        MethodNotAllowed: it would do more than read one.
    """
    file = files.get(request.path)
    if file is None:
        return None
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("this path does not answer this method", headers={"Allow": "GET, HEAD"})
    tag = etags.of_answer(etags.digest_of(file.body), "")
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    if etags.matches(request.headers.get("If-None-Match"), tag):
        return Response(b"", status=304, headers=headers)
    return Response(file.body, content_type=file.content_type, headers=headers)
