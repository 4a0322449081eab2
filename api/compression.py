"""Large answers are compressed where the client says that it can read that (RFC 9110, 12.5.3; zstd: RFC 8878)."""

from __future__ import annotations

import gzip

import trio
import zstandard

LEAST_BYTES = 1024
THREAD_BYTES = 256 * 1024
"""Above this, compressing takes milliseconds: not for the loop."""
_PREFERRED = ("zstd", "gzip")


def choose(accept_encoding: str | None) -> str | None:
    """The best coding that the client accepts, or None."""
    if not accept_encoding:
        return None
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = _weight(parameters)
    offered = [(weights.get(name, weights.get("*", 0.0)), name) for name in _PREFERRED]
    weight, name = max(offered, key=lambda pair: (pair[0], pair[1] == "zstd"))
    return name if weight > 0 else None


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


async def compress(body: bytes, coding: str) -> bytes:
    if len(body) < THREAD_BYTES:
        return _compress(body, coding)
    return await trio.to_thread.run_sync(_compress, body, coding)


def _compress(body: bytes, coding: str) -> bytes:
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    return gzip.compress(body, compresslevel=1, mtime=0)
