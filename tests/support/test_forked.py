"""Programs that are forked are as if they were executed: their output, status, session and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.support import forked

HIVEMIND = [sys.executable, "-m", "hivemind"]


def test_output_and_status_are_the_programs() -> None:
    for words in (["--no-such-option"], ["node", "ls", "--server", "http://127.0.0.1:1"]):
        executed = subprocess.run([*HIVEMIND, *words], env=os.environ, capture_output=True, text=True)
        done = forked.run_text([*HIVEMIND, *words], os.environ)
        assert (done.returncode, done.stdout, done.stderr) == (executed.returncode, executed.stdout, executed.stderr)


def test_it_has_a_session_of_its_own_and_ends_by_signals() -> None:
    with open(os.devnull, "wb") as nothing:
        output = nothing.fileno()
        argv = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
        processes = [forked.start(argv, os.environ, stdout=output, stderr=output, server=n) for n in range(2)]
    for process in processes:
        assert process.poll() is None
        assert os.getsid(process.pid) == process.pid
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        assert not psutil.pid_exists(process.pid)
