"""The client that waits is the async one, made over."""

from __future__ import annotations

from hivemind.client._sync.methods import SyncMethods
from scripts.sync_client import targets


def test_it_is_up_to_date() -> None:
    stale = [path.name for path, text in targets().items() if not path.exists() or path.read_text() != text]
    assert not stale, "run scripts/sync_client.py"


def test_nothing_in_it_is_awaited() -> None:
    import inspect

    functions = [value for value in vars(SyncMethods).values() if callable(value)]
    assert not any(inspect.iscoroutinefunction(function) for function in functions)
