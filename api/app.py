"""The application: the route table on Quart, the envelope, the headers of every answer."""

from __future__ import annotations

from quart_trio import QuartTrio

from api.deps import Deps


class Api(QuartTrio):
    """One node's API."""


def create_app(deps: Deps) -> Api:
    """The whole of ``/api``, as an ASGI application for trio."""
    return Api(__name__)
