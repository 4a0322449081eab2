"""Supervises one task. Runs on its own as `python -S -I shim.py <task directory>`; standard library only.

It detaches, starts what `run.json` says in a session of its own, writes its output with timestamps into
rotated files, watches its memory and process count, and writes `exit.json` at the end. It survives the daemon:
it is in its own session, without a terminal, and ignores the signals that end sessions. If it is killed
itself, the kernel kills the task's first process (PR_SET_PDEATHSIG), so that it never runs unsupervised;
processes that the task leaves behind become its children (PR_SET_CHILD_SUBREAPER) and end with the task.

The launching process ends when the task runs (status 0) or cannot be started (status 1, the reason on stderr).
A log record is `<unix seconds> <o|e> <text>\\n`.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
WATCH_INTERVAL_MS = 100
DRAIN_S = 1.0
READ_BYTES = 65536
MAX_RECORD_BYTES = 16384
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def identity(pid: int) -> dict[str, Any]:
    """A process that cannot be mistaken for a later one with the same pid."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        start_ticks = int(file.read().rpartition(b")")[2].split()[19])
    with open("/proc/sys/kernel/random/boot_id") as file:
        return {"pid": pid, "start_ticks": start_ticks, "boot_id": file.read().strip()}


def write_json(path: str, document: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    with open(path + ".new", "w") as file:
        json.dump(document, file)
    os.replace(path + ".new", path)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, those who ended just now left out."""
    found: list[int] = []
    unseen = [pid]
    while unseen:
        parent = unseen.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as file:
                children = [int(child) for child in file.read().split()]
        except OSError:
            continue
        found += children
        unseen += children
    return found


def resident_bytes(pids: Iterable[int]) -> int:
    """Their resident memory; pages that they share count for each."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as file:
                total += int(file.read().split()[1]) * PAGE_BYTES
        except OSError:
            continue
    return total


class Log:
    """Numbered files; the highest is written to, the lowest go."""

    def __init__(self, folder: str, max_bytes: int, max_files: int) -> None:
        self.folder, self.max_bytes, self.max_files = folder, max_bytes, max(1, max_files)
        os.makedirs(folder, exist_ok=True)
        self.number = max(self.numbers(), default=1)
        self.open()

    def numbers(self) -> list[int]:
        return [int(name[:-4]) for name in os.listdir(self.folder) if name.endswith(".log")]

    def open(self) -> None:
        self.file = open(os.path.join(self.folder, f"{self.number:08}.log"), "ab")  # noqa: SIM115
        self.size = self.file.tell()

    def write(self, tag: bytes, text: bytes) -> None:
        record = b"%.6f %s %s\n" % (time.time(), tag, text)
        try:
            if self.size and self.size + len(record) > self.max_bytes:
                self.rotate()
            self.file.write(record)
            self.file.flush()
            self.size += len(record)
        except OSError:
            # A full disk costs lines, never the task.
            return

    def rotate(self) -> None:
        self.file.close()
        self.number += 1
        self.open()
        for number in self.numbers():
            if number <= self.number - self.max_files:
                os.unlink(os.path.join(self.folder, f"{number:08}.log"))


class Output:
    """One of the task's output pipes, cut into lines."""

    def __init__(self, fd: int, tag: bytes, log: Log) -> None:
        self.fd, self.tag, self.log, self.rest = fd, tag, log, b""
        os.set_blocking(fd, False)

    def read(self) -> bool:
        """False at the end."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return True
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.write(line)
        while len(self.rest) > MAX_RECORD_BYTES:
            self.log.write(self.tag, self.rest[:MAX_RECORD_BYTES])
            self.rest = self.rest[MAX_RECORD_BYTES:]
        return bool(data)

    def close(self) -> None:
        """Write the last line, which has no line end."""
        if self.rest:
            self.log.write(self.tag, self.rest)
            self.rest = b""

    def write(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, MAX_RECORD_BYTES):
            self.log.write(self.tag, line[start : start + MAX_RECORD_BYTES])


def start_task(run: Mapping[str, Any], libc: ctypes.CDLL) -> tuple[int, int, int]:
    """Fork and exec; (pid, stdout, stderr). OSError where the program cannot be started."""
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    failed_read, failed_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(out_write, 1)
            os.dup2(err_write, 2)
            os.chdir(run["cwd"])
            if run["cgroup_procs"]:
                with open(run["cgroup_procs"], "w") as procs:
                    procs.write("0")
            if run["uid"] is not None:
                os.setgroups([])
                os.setgid(run["gid"])
                os.setuid(run["uid"])
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(run["argv"][0], run["argv"], run["env"])
        except OSError as error:
            os.write(failed_write, str(error.errno).encode())
        finally:
            os._exit(127)
    for fd in (out_write, err_write, failed_write):
        os.close(fd)
    failure = os.read(failed_read, 64)
    os.close(failed_read)
    if failure:
        os.waitpid(pid, 0)
        raise OSError(int(failure), os.strerror(int(failure)), run["argv"][0])
    return pid, out_read, err_read


def supervise(run: Mapping[str, Any], pid: int, outputs: Sequence[Output], wake_fd: int) -> tuple[int, str]:
    """Until the task has ended: (wait status, why it was killed or "")."""
    poll = select.poll()
    by_fd = {output.fd: output for output in outputs}
    for fd in (*by_fd, wake_fd):
        poll.register(fd, select.POLLIN)
    memory_limit, pids_limit = run["memory_limit_bytes"], run["pids_limit"]
    timeout_ms = WATCH_INTERVAL_MS if memory_limit or pids_limit else None
    killed = ""
    while True:
        for fd, _ in poll.poll(timeout_ms):
            if fd == wake_fd:
                os.read(wake_fd, 512)
            elif not by_fd[fd].read():
                poll.unregister(fd)
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if ended == pid:
                return status, killed
            if not ended:
                break
        if not timeout_ms or killed:
            continue
        tree = descendants(os.getpid())
        if memory_limit and resident_bytes(tree) > memory_limit:
            killed = "memory"
        elif pids_limit and len(tree) > pids_limit:
            killed = "pids"
        if killed:
            kill_all(tree)


def kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def end_the_rest() -> None:
    """Kill what the task left behind: as with a container, its first process ends all of it."""
    while tree := descendants(os.getpid()):
        kill_all(tree)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def drain(outputs: Sequence[Output]) -> None:
    """What was still in the pipes. Nobody should hold them now; if somebody outside does, not for long."""
    poll = select.poll()
    open_outputs = {output.fd: output for output in outputs}
    for fd in open_outputs:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + DRAIN_S
    while open_outputs and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            if not open_outputs[fd].read():
                poll.unregister(fd)
                del open_outputs[fd]
    for output in outputs:
        output.close()


def detach(ready_fd: int) -> None:
    """No terminal, no inherited streams, deaf to the signals that end a session."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(ready_fd, False)


def wake(number: int, frame: FrameType | None) -> None:
    """A handler must be there for the signal to reach the wake-up pipe."""


def shim(folder: str, ready_fd: int) -> None:
    """The detached process's whole life."""
    detach(ready_fd)
    with open(os.path.join(folder, "run.json")) as file:
        run = json.load(file)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, wake)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    log = Log(os.path.join(folder, "log"), run["log_max_bytes"], run["log_max_files"])
    started_at_s = time.time()
    pid, out_read, err_read = start_task(run, libc)
    started = {"shim": identity(os.getpid()), "main": identity(pid), "started_at_s": started_at_s}
    write_json(os.path.join(folder, "shim.json"), started)
    os.close(ready_fd)

    outputs = [Output(out_read, b"o", log), Output(err_read, b"e", log)]
    status, killed = supervise(run, pid, outputs, wake_read)
    finished_at_s = time.time()
    end_the_rest()
    drain(outputs)
    code = os.waitstatus_to_exitcode(status)
    end = {
        "exit_code": code if code >= 0 else 128 - code,
        "finished_at_s": finished_at_s,
        "oom_killed": killed == "memory",
        "error": "more processes than its limit" if killed == "pids" else "",
    }
    write_json(os.path.join(folder, "exit.json"), end)


def main(folder: str) -> int:
    ready_read, ready_write = os.pipe()
    if os.fork() == 0:
        os.close(ready_read)
        try:
            shim(folder, ready_write)
        except OSError as error:
            name = error.filename or folder
            try:
                os.write(ready_write, f"{name}: {os.strerror(error.errno or errno.EIO)}".encode())
            except OSError:
                os._exit(2)  # it was running already: the missing exit.json says that the shim died
            os._exit(1)
        os._exit(0)
    os.close(ready_write)
    with os.fdopen(ready_read, "rb") as ready:
        failure = ready.read()
    if failure:
        sys.stderr.buffer.write(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
