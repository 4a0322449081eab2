"""SIGTERM ends a run of pytest as Ctrl-C does: the test that runs breaks off, and all fixtures end what they began."""

from __future__ import annotations

import os
import signal
from types import FrameType

import psutil
import pytest


class OrderlyEnd:
    """A plugin of pytest, for a run and for each worker of xdist."""

    def __init__(self) -> None:
        self._asked = False

    def pytest_configure(self, config: pytest.Config) -> None:
        # A shell may have started us in the background, where it makes children deaf to Ctrl-C.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        """Once: `timeout` signals a whole process group, and xdist's workers hear of it from the run as well."""
        if not self._asked:
            self._asked = True
            # Trio and pytest-trio know where in a test that may interrupt it.
            signal.raise_signal(signal.SIGINT)

    def pytest_keyboard_interrupt(self) -> None:
        """From here on the fixtures end."""
        if self._asked:
            # That of execnet, which is told to a worker that takes its time.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _pass_on()


def _pass_on() -> None:
    """To our children that are no daemons: workers, which would notice in 5 s only."""
    for child in psutil.Process().children():
        try:
            if os.getpgid(child.pid) == os.getpgrp():
                child.terminate()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
