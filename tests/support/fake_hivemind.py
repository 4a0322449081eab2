"""Stands in for the `hivemind` program where a test is about what starts daemons and not about the cluster.

A daemon of this writes its command line to its data-dir, leaves a "shim" behind, and answers for the nodes
that began beside it. FAKE_FAILS=node-2 makes that daemon end at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


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
    with ThreadingHTTPServer((given["--bind"], 4483), partial(Answer, data_dir.parent)) as server:
        # `shutdown` waits for the loop that the signal interrupted.
        signal.signal(signal.SIGTERM, lambda number, frame: Thread(target=server.shutdown).start())
        (data_dir / "ready").write_text(json.dumps({"given": given, "shim": shim.pid, "pid": os.getpid()}))
        server.serve_forever(poll_interval=0.05)
    return 0


class Answer(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, *given: Any) -> None:
        self.folder = folder
        super().__init__(*given)

    def do_GET(self) -> None:
        names = [path.parent.name for path in self.folder.glob("node-*/ready")]
        nodes = [{"id": name, "status": "ready"} for name in names]
        body = json.dumps({"success": True, "data": {"nodes": nodes}}).encode()
        self.send_response(200 if self.headers["Authorization"] else 401)
        self.send_header("X-Hivemind-Leader", names[0])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


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
