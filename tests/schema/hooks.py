"""Loaded by schemathesis: keeps what it makes up within what this machine can run, and names what there is."""

from __future__ import annotations

import json
import os
from typing import Any
from zlib import crc32

import schemathesis

MOST_REPLICAS = 2
KNOWN: dict[str, str] = json.loads(os.environ.get("HIVEMIND_SCHEMA_VALUES", "{}"))
"""A path's variable → something that there is, in place of every second made-up name."""


def _bounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    if not isinstance(value, dict):
        return value
    bounded = {key: _bounded(item) for key, item in value.items()}
    replicas = bounded.get("replicas")
    if isinstance(replicas, int) and not isinstance(replicas, bool) and replicas > MOST_REPLICAS:
        bounded["replicas"] = replicas % (MOST_REPLICAS + 1)
    return bounded


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return _bounded(body)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Logs that are followed and answers that wait do not end in time, as they should."""
    if isinstance(query, dict):
        query.pop("follow", None)
        query.pop("wait", None)
    return query


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    for name, value in (path_parameters or {}).items():
        if name in KNOWN and crc32(str(value).encode()) % 2:
            path_parameters[name] = KNOWN[name]
    return path_parameters
