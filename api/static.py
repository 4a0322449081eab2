"""Files that are served as they are, to everybody: the pages of the dashboard, which then ask the API."""

from __future__ import annotations

from collections.abc import Mapping

from api import etags
from api.answer import Reply, whole
from api.deps import StaticFile
from api.errors import MethodNotAllowed
from api.request import Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The pages load nothing from elsewhere, run nothing that is written into them, and are shown in no other's page."""


def answer(files: Mapping[str, StaticFile], request: Request) -> Reply | None:
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
    if etags.matches(request.headers.get("if-none-match"), tag):
        return Reply(304, headers, b"")
    return whole(200, file.body, file.content_type, headers)
