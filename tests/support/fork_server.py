"""The program beside `forked`: it has imported Hivemind, and forks a process for each request.

Importing is most of what a start costs (over a second of CPU for a daemon, and a suite starts hundreds of programs).
Its standard input is a socket. A request is a JSON object `{argv, env, cwd}` with four descriptors: standard input,
output and error of the new process, and a socket that is told its pid, and its status when it has ended: numbers as
text, in lines. `argv` is what follows `python -m`. When the socket is closed, it ends and so does what it forked.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys

_REQUEST_BYTES = 1 << 20
_DESCRIPTORS = 4
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Server:
    """`run` returns in each forked process, with its `argv`; in the server it never does."""

    def __init__(self) -> None:
        self._requests = socket.socket(fileno=0)
        self._watchers: dict[int, socket.socket] = {}
        self._ended, self._tells = socket.socketpair()
        self._tells.setblocking(False)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._requests, selectors.EVENT_READ)
        self._ready.register(self._ended, selectors.EVENT_READ)

    def run(self) -> list[str]:
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._tells.fileno(), warn_on_full_buffer=False)
        while True:
            for key, _ in self._ready.select():
                if key.fileobj is self._ended:
                    self._ended.recv(4096)
                    self._tell_ends()
                elif (argv := self._take_request()) is not None:
                    return argv

    def _take_request(self) -> list[str] | None:
        """None in the server."""
        content, descriptors, _, _ = socket.recv_fds(self._requests, _REQUEST_BYTES, _DESCRIPTORS)
        if not content:
            sys.exit()
        watcher = socket.socket(fileno=descriptors.pop())
        if not (pid := os.fork()):
            watcher.close()
            self._close()
            return _become(json.loads(content), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        watcher.sendall(b"%d\n" % pid)
        self._watchers[pid] = watcher
        return None

    def _tell_ends(self) -> None:
        for pid in list(self._watchers):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                with self._watchers.pop(pid) as watcher:
                    watcher.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))

    def _close(self) -> None:
        """What is the server's alone."""
        signal.set_wakeup_fd(-1)
        self._ready.close()
        for each in (self._requests, self._ended, self._tells, *self._watchers.values()):
            each.close()


def _become(request: dict[str, object], standard: list[int]) -> list[str]:
    """What an exec would give the process: a session, its standard descriptors, environment, signals."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, descriptor in enumerate(standard):
        os.dup2(descriptor, target)
    os.closerange(len(standard), max(standard) + 1)
    os.chdir(str(request["cwd"]))
    env, argv = request["env"], request["argv"]
    assert isinstance(env, dict)
    assert isinstance(argv, list)
    os.environ.clear()
    os.environ.update(env)
    return argv


def _perform(argv: list[str]) -> None:
    """As `python -m` does, but without taking a thousand modules apart at the end."""
    status = 1

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    # The last of all that is done at the end: threads were waited for, and what was registered later has been called.
    atexit.register(leave)
    sys.argv = argv
    try:
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


if __name__ == "__main__":
    import hivemind.cli.main
    import hivemind.client.client
    import hivemind.run  # noqa: F401
    from api.app import paths_of
    from api.route import RouteTable
    from api.routes import all_routes

    paths_of(RouteTable(all_routes()).routes)
    gc.collect()
    # Forked processes look for garbage among their own objects only, and so share the memory of these.
    gc.freeze()
    _perform(Server().run())
