"""Whether this daemon may take part in the overlay: decided once, before the cluster is told.

The overlay changes links, routes and rules of the machine. So it is left alone wherever it is not clear that they are
this daemon's to change: the reason is logged, and published ports go on working through the mesh.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from pathlib import Path

import psutil
import trio
from msgspec import Struct

from consensus.model.network import OverlayMode

_CAP_NET_ADMIN = 12
_CLAIM = "\0hivemind-overlay"
_CREDENTIALS = struct.Struct("3i")


class Choice(Struct, frozen=True):
    """`reason` says why the mode is off."""

    mode: OverlayMode
    reason: str = ""


class Claim:
    """Held while the daemon runs: an abstract socket's name is taken once in each network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def take(self) -> bool:
        """False: another daemon in this network namespace has it."""
        try:
            self._socket.bind(_CLAIM)
        except OSError:
            return False
        return True

    def release(self) -> None:
        self._socket.close()


async def choose(asked: OverlayMode, *, engine: str, docker_host: str, advertise: str, claim: Claim) -> Choice:
    """`engine` is the engine's name and `docker_host` its address; `advertise` is what other nodes are told."""
    if asked is OverlayMode.OFF:
        return Choice(OverlayMode.OFF, "it is turned off by --overlay off")
    reason = await trio.to_thread.run_sync(_why_not, engine, docker_host, advertise)
    if reason is None and not claim.take():
        reason = "another daemon on this machine has the overlay: there can be one in a network namespace"
    return Choice(asked) if reason is None else Choice(OverlayMode.OFF, reason)


def _why_not(engine: str, docker_host: str, advertise: str) -> str | None:
    if engine != "docker":
        return f"tasks of the {engine} engine have no network of their own; only Docker's have"
    if not docker_host.startswith("unix://"):
        return f"the engine at {docker_host} may be on another machine; expected a unix:// address"
    if ipaddress.ip_address(advertise).is_loopback:
        return f"this node advertises {advertise}, a loopback address"
    if not _has_net_admin():
        return "the daemon lacks CAP_NET_ADMIN; run it as root"
    return _not_here(docker_host.removeprefix("unix://")) or _no_underlay(advertise)


def _has_net_admin() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    return False


def _not_here(path: str) -> str | None:
    """Why the engine is not known to be in this process' network namespace."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dialled:
            dialled.connect(path)
            told = dialled.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = _CREDENTIALS.unpack(told)[0]
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return None
    except OSError as error:
        return f"it cannot be told whether the engine at {path} is in this network namespace: {error}"
    return f"the engine at {path} is in another network namespace"


def _no_underlay(advertise: str) -> str | None:
    wanted = ipaddress.ip_address(advertise)
    own = (
        ipaddress.ip_address(each.address.partition("%")[0])
        for link in psutil.net_if_addrs().values()
        for each in link
        if each.family in (socket.AF_INET, socket.AF_INET6)
    )
    return None if wanted in own else f"no interface of this machine has the advertised address {advertise}"
