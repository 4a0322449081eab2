"""Files that everybody may read."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from api.app import create_app
from api.deps import StaticFile


async def test_files_are_served_to_everybody_and_count_for_no_limit(make_world: Any) -> None:
    """A page is several of them, and they are only bytes."""
    world = make_world(requests_per_ip_per_minute=1)
    app = create_app(replace(world.deps, static={"/": StaticFile(b"<p>hello", "text/html; charset=utf-8")}))
    client = app.test_client()
    for _ in range(3):
        answer = await client.get("/")
        assert (answer.status_code, await answer.get_data()) == (200, b"<p>hello")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    again = await client.get("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, await again.get_data()) == (304, b"")
    refused = await client.post("/")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert (await client.get("/main.js")).status_code == 404
