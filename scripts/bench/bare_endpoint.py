"""The least that hypercorn under trio does for a request: the same bytes for everything. A process of its own.

python bare_endpoint.py HOST PORT FILE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve


def main(host: str, port: str, body_file: str) -> None:
    body = Path(body_file).read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                await send({"type": (await receive())["type"] + ".complete"})
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    config = Config()
    config.bind = [f"{host}:{port}"]
    config.accesslog = None
    config.loglevel = "WARNING"
    # Else it hangs up after 1000 requests, in the middle of a measurement.
    config.keep_alive_max_requests = 10**9
    trio.run(serve, app, config)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
