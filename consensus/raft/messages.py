"""The messages that nodes of the log send each other, and the check at the door.

Every message is a dict with `type` and `from_term` (the sender's term). What is not listed here, in particular the
library's own `apply_command`, is dropped: peers are authenticated, but may be of another version, or broken.
"""

from __future__ import annotations

from typing import Any

_FIELDS: dict[str, dict[str, type]] = {
    "append_entries": {"term": int, "commit_index": int, "exchange": int},
    "next_node_idx": {"next_node_idx": int, "reset": bool, "success": bool, "exchange": int},
    "snapshot_chunk": {
        "term": int, "commit_index": int, "exchange": int,
        "snapshot": int, "size": int, "offset": int, "data": bytes,
    },
    "snapshot_answer": {"snapshot": int, "offset": int, "done": bool, "exchange": int},
    "pre_vote": {"term": int, "last_log_index": int, "last_log_term": int},
    "pre_vote_answer": {"term": int, "granted": bool, "current": int},
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int, "transfer": bool},
    "response_vote": {"term": int},
    "stale": {"term": int},
    "timeout_now": {"term": int},
    "learner": {"last_log_index": int},
}  # fmt: skip
_APPEND_FIELDS: dict[str, type] = {"prevLogIdx": int, "prevLogTerm": int, "entries": list}


def is_well_formed(message: Any) -> bool:
    """Whether `message` is one of ours with all its fields."""
    if not isinstance(message, dict) or not isinstance(kind := message.get("type"), str):
        return False
    fields = _FIELDS.get(kind)
    if fields is None or not isinstance(message.get("from_term"), int):
        return False
    if not _has(message, fields):
        return False
    if kind == "append_entries" and "prevLogIdx" in message:
        return _has(message, _APPEND_FIELDS) and _are_entries(message["entries"], message["prevLogIdx"])
    return True


def _has(message: dict[str, Any], fields: dict[str, type]) -> bool:
    # A loop, not a generator: this is run for every message, and takes half the time so.
    for name, kind in fields.items():  # noqa: SIM110
        if not isinstance(message.get(name), kind):
            return False
    return True


def _are_entries(entries: list[Any], previous: int) -> bool:
    """Commands of at least a kind byte, with consecutive indexes after `previous`."""
    for offset, entry in enumerate(entries, 1):
        if not isinstance(entry, list | tuple) or len(entry) != 3:
            return False
        command, index, term = entry
        if not isinstance(command, bytes) or not command or not isinstance(term, int) or index != previous + offset:
            return False
    return True
