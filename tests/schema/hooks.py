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
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Logs that are followed and answers that wait do not end in time, as they should.

    At the call, as `map_query` is not asked for the cases of the coverage phase.
    """
    if isinstance(case.query, dict):
        case.query.pop("follow", None)
        case.query.pop("wait", None)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    for name, value in (path_parameters or {}).items():
        if name in KNOWN and crc32(str(value).encode()) % 2:
            path_parameters[name] = KNOWN[name]
    return path_parameters
