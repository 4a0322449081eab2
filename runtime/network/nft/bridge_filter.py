"""What of a bridge the ruleset stands on: switches in sysfs, and a flag of each port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import trio

from runtime.network import rtnetlink
from runtime.network.netlink_messages import ACKNOWLEDGE, ERROR, attribute, error_code, message, messages, nested

_LINKS = Path("/sys/class/net")
# linux/rtnetlink.h, linux/if_link.h
_SET_LINK = 19
_OF_PORT, _HAIRPIN = 12, 4
_READ_BYTES = 8192
_GONE = (errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL)
"""The last two where it is there, and a bridge's port no more."""


def reflect(port: str) -> None:
    """Lets a bridge send packets back by the port that they came from (hairpin mode). Blocks. Raises OSError.

    Its file in sysfs does the same, but whoever writes there while another changes links keeps a core busy with
    trying again, for as long as that takes: 7 ms of CPU each while containers are started.
    """
    try:
        index = socket.if_nametoindex(port)
    except OSError:
        return
    body = rtnetlink.LINK.pack(rtnetlink.BRIDGE_FAMILY, 0, index, 0, 0) + nested(_OF_PORT, attribute(_HAIRPIN, b"\1"))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, rtnetlink.PROTOCOL) as kernel:
        kernel.send(message(_SET_LINK, body, ACKNOWLEDGE))
        for kind, answer in messages(kernel.recv(_READ_BYTES)):
            code = error_code(answer) if kind == ERROR else 0
            if code and code not in _GONE:
                raise OSError(code, os.strerror(code), port)


class BridgeFilter:
    """Lets the rules see what containers on one bridge send each other, and lets a container reach itself by a
    virtual address. Ports come and go with containers: each is looked at once, and all of it when that is asked for.
    """

    def __init__(self, bridge: str, *, links: Path = _LINKS, reflect: Callable[[str], None] = reflect) -> None:
        self._bridge = bridge
        self._folder = links / bridge
        self._reflect = reflect
        self._seen: frozenset[str] | None = None

    async def ensure(self, *, anew: bool) -> str | None:
        """What is missing, in words; None: all is as it should be. `anew`: what was seen so may be so no more."""
        try:
            # The kernel lists names without waiting for anybody; a change may wait for whoever changes links.
            ports = frozenset(os.listdir(self._folder / "brif"))
            if anew or self._seen is None:
                await trio.to_thread.run_sync(self._switch_on, ports)
            elif new := ports - self._seen:
                await trio.to_thread.run_sync(self._open, new)
        except FileNotFoundError:
            self._seen = None
            return f"there is no bridge {self._bridge} yet"
        except OSError as error:
            self._seen = None
            return f"network policies do not hold between containers of this node: {error}"
        self._seen = ports
        return None

    def _switch_on(self, ports: Iterable[str]) -> None:
        for name in ("nf_call_iptables", "nf_call_ip6tables"):
            switch = self._folder / "bridge" / name
            if switch.read_text().strip() != "1":
                switch.write_text("1")
        self._open(ports)

    def _open(self, ports: Iterable[str]) -> None:
        for port in ports:
            try:
                is_open = (self._folder / "brif" / port / "hairpin_mode").read_text().strip() == "1"
            except FileNotFoundError:
                # A port that is gone by now.
                continue
            if not is_open:
                self._reflect(port)
