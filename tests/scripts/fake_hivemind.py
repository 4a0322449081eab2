"""Stands in for the `hivemind` program where a test is about scripts/dev and not about the cluster.

A daemon of this holds its ports, writes its command line to its data-dir, and leaves a "shim" behind.
FAKE_FAILS=node-2 makes that daemon end at once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path


def daemon(arguments: list[str]) -> int:
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if given["--name"] == os.environ.get("FAKE_FAILS"):
        print("the sky is falling")
        return 3
    data_dir = Path(given["--data-dir"])
    task = data_dir / "tasks" / "t1"
    task.mkdir(parents=True, exist_ok=True)
    sleep = "import time; time.sleep(60)  # shim"
    shim = subprocess.Popen([sys.executable, "-c", sleep, task], start_new_session=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    with socket.create_server((given["--bind"], 4483)):
        (data_dir / "ready").write_text(json.dumps({"given": given, "shim": shim.pid, "pid": os.getpid()}))
        ended.wait()
    return 0


def wait(nodes: int, timeout_s: float) -> int:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if len(list(Path(os.environ["HOME"]).glob("node-*/ready"))) == nodes:
            return 0
        time.sleep(0.02)
    return 1


def main(arguments: list[str]) -> int:
    match arguments:
        case ["daemon", *options]:
            return daemon(options)
        case ["wait", "--nodes", nodes, "--timeout", timeout]:
            return wait(int(nodes), float(timeout))
        case ["cluster", "token"] if os.environ["HIVEMIND_USERNAME"] == "admin":
            print("hm1.fingerprint.secret")
            return 0
    print(f"no such command: {arguments}")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
