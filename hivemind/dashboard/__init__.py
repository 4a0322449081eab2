"""The dashboard at ``/``: static pages that ask the API as any client does. No build step, nothing from elsewhere.

static/index.html   the page           static/style.css      light and dark
static/main.js      logging in, what is asked for and when it is asked anew
static/connection.js   GraphQL over one WebSocket (graphql-transport-ws), so it costs one request of the rate limits
static/tables.js    rows of the answer as tables
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from api.deps import StaticFile

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def static_files() -> Mapping[str, StaticFile]:
    """By the path at which they are served."""
    found = {
        f"/{each.name}": StaticFile(each.read_bytes(), _TYPES[each.name.rpartition(".")[2]])
        for each in files(__name__).joinpath("static").iterdir()
    }
    return {**found, "/": found["/index.html"]}
