"""Several hosts with a Docker engine each, on one machine.

    with Lab(3) as lab:
        lab.host(1).docker("run", "-d", "busybox:local", "sleep", "600")
        daemon = lab.host(2).popen(["hivemind", "daemon", …])
        lab.partition([1], [2, 3])

Needs root and the Debian packages docker.io containerd runc iptables nftables iproute2 util-linux tini
busybox-static (and gcc, libnetfilter-queue-dev for `delay`). A lab takes about 2 s and 110 MB a host.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.cgroups import find_cgroups
from tests.lab.commands import LabError, run
from tests.lab.host import Host
from tests.lab.place import Place, fresh_place
from tests.lab.switch import Switch
from tests.support.images import BusyboxMissing, busybox_archive, find_busybox
from tests.support.reaper import reap_after_us

_COMMAND = Path(__file__).with_name("lab")
_TOOLS = ("containerd", "dockerd", "ip", "iptables", "nft", "nsenter", "runc", "tini", "unshare")


class Lab:
    """`hosts` hosts, numbered from 1, with engines (and `busybox:local` in them) unless `engines` is False.

    Used in a `with`, everything is gone at its end, also after a failure, and also when this process is killed.
    Without a `place` it gets names of its own, so that labs do not meet.
    """

    def __init__(
        self,
        hosts: int,
        *,
        engines: bool = True,
        place: Place | None = None,
        dockerd_args: Sequence[str] = (),
    ) -> None:
        self.place = place or fresh_place()
        self.switch = Switch(self.place)
        self._engines = engines
        self._cgroups = find_cgroups(self.place.prefix)
        self.hosts = [Host(number, self.switch, self._cgroups, dockerd_args) for number in range(1, hosts + 1)]

    @classmethod
    def existing(cls, place: Place) -> Self:
        """The lab that is up at a place, made by another process; of no hosts if there is none."""
        return cls(Switch(place).plugged(), place=place)

    def host(self, number: int) -> Host:
        """Host number 1, 2, …"""
        if not 1 <= number <= len(self.hosts):
            raise LabError(f"there is no host {number}; there are {len(self.hosts)}")
        return self.hosts[number - 1]

    def up(self) -> None:
        """Build everything. Raises LabError, and then nothing is left."""
        reason = why_no_lab()
        if reason:
            raise LabError(reason)
        if (Path("/run/netns") / self.place.switch).exists():
            raise LabError(f"a lab {self.place.prefix!r} is up already")
        with ExitStack() as undo:
            undo.callback(self.down)
            self.place.root.mkdir(parents=True, exist_ok=True)
            self.switch.up()
            for host in self.hosts:
                self.switch.plug(host.number)
                host.start_host()
            if self._engines:
                archive = busybox_archive()
                with ThreadPoolExecutor(len(self.hosts) or 1) as together:
                    list(together.map(Host.start_engine, self.hosts))
                for host in self.hosts:
                    host.engine.load_image(archive)
            undo.pop_all()

    def down(self) -> None:
        """Take everything away, as far as it got; raises LabError at the end if something would not go."""
        failures = []
        for host in self.hosts:
            try:
                host.kill_host()
            except (LabError, OSError) as error:
                failures.append(f"{host.name}: {error}")
        self.switch.down(host.number for host in self.hosts)
        for folder in _mounts_below(self.place.root):
            run(["umount", "-l", folder], check=False)
        shutil.rmtree(self.place.root, ignore_errors=True)
        try:
            self._cgroups.remove()
        except LabError as error:
            failures.append(str(error))
        if failures:
            raise LabError("; ".join(failures))

    def partition(self, side: Iterable[int], other: Iterable[int]) -> None:
        """No packet passes between the hosts of the two sides until `unpartition`; partitions add up."""
        self.switch.partition(side, other)

    def unpartition(self) -> None:
        self.switch.unpartition()

    def __enter__(self) -> Self:
        self._release = reap_after_us([sys.executable, str(_COMMAND), "down"], self.place.environment())
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._release()


def why_no_lab() -> str | None:
    """Why this machine cannot have a lab; None if it can."""
    if os.geteuid() != 0:
        return "a lab needs root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    try:
        find_busybox()
    except BusyboxMissing:
        missing.append("busybox")
    if missing:
        return "a lab needs " + " ".join(missing)
    try:
        run(["unshare", "--net", "--mount", "--pid", "--cgroup", "--fork", "true"])
    except LabError as error:
        return f"namespaces cannot be made here: {error}"
    return None


def _mounts_below(root: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [folder for folder in reversed(mounts) if folder.startswith(f"{root}/")]
