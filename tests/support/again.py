"""Something done again and again beside a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def again_and_again(what: Callable[[], object], pause_s: float) -> Iterator[None]:
    """Does it in a thread, with a pause before each time. It ends with the context."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(pause_s):
            what()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()
