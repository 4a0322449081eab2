"""WireGuard's device: made by the kernel or, where that has none, by the process wireguard-go; told what to do by `wg`.

The private key never leaves this machine. It reaches `wg` by its standard input.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

from consensus.model.network import Capability, Encryption
from runtime.network.overlay import commands, netlink
from runtime.network.overlay.changes import AddWireguard, ConfigureWireguard, DeleteLink
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import WireguardFacts, WireguardPeer
from runtime.network.overlay.keys import TunnelKey

_STAND_IN = "wireguard-go"
_TOOL = "wg"
_TUN = Path("/dev/net/tun")
_PROBE = "hivemind-wg-try"


async def capability() -> Capability:
    """Whether this machine has WireGuard; the kernel is asked by having it make a device."""
    return await trio.to_thread.run_sync(_capability)


def _capability() -> Capability:
    kernels = _kernel_has_it()
    missing = [] if shutil.which(_TOOL) else [f"the command {_TOOL} (package wireguard-tools)"]
    if not kernels and shutil.which(_STAND_IN) is None:
        missing.append(f"WireGuard in this kernel, or the command {_STAND_IN} in its stead")
    elif not kernels and not _TUN.exists():
        missing.append(f"{_TUN}, for {_STAND_IN}")
    if missing:
        return Capability(Encryption.WIREGUARD.value, False, f"missing: {' and '.join(missing)}")
    return Capability(
        Encryption.WIREGUARD.value,
        True,
        "the kernel's" if kernels else f"{_STAND_IN}: this kernel has none; packets pass through a process",
    )


def _kernel_has_it() -> bool:
    if not netlink.can_make_wireguard(_PROBE):
        return False
    netlink.change([DeleteLink(_PROBE)])
    return True


async def add(change: AddWireguard) -> None:
    """Raises OverlayError, which says what is missing."""
    found = await capability()
    if not found.available:
        raise OverlayError(f"the overlay is encrypted, and this node cannot: {found.detail}")
    if not await trio.to_thread.run_sync(netlink.can_make_wireguard, change.name):
        await _stand_in(change.name)


async def _stand_in(name: str) -> None:
    """Starts a process that outlives this daemon, as a kernel's device would, and ends with its device."""
    with tempfile.TemporaryFile() as said:
        done = await trio.run_process(
            [_STAND_IN, name],
            stdout=said.fileno(),
            stderr=said.fileno(),
            check=False,
            start_new_session=True,
            env={**os.environ, "LOG_LEVEL": "error"},
        )
        if done.returncode != 0:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise OverlayError(f"{_STAND_IN} failed: {words[-1] if words else f'exit status {done.returncode}'}")


async def configure(change: ConfigureWireguard, key: TunnelKey) -> None:
    """Sessions with peers that stay are not broken. Raises OverlayError."""
    await _wg(["syncconf", change.link, "/dev/stdin"], configuration(change, key))


async def look(name: str) -> WireguardFacts | None:
    """None: the device of that name is gone, or none of WireGuard's. Raises OverlayError without `wg`."""
    try:
        return parsed(await _wg(["show", name, "dump"]))
    except commands.CommandFailed:
        return None


def configuration(change: ConfigureWireguard, key: TunnelKey) -> str:
    """What `wg syncconf` reads."""
    lines = ["[Interface]", f"PrivateKey = {key.private}", f"ListenPort = {change.port}"]
    for peer in change.peers:
        lines += ["[Peer]", f"PublicKey = {peer.public_key}", f"Endpoint = {peer.endpoint}"]
        lines.append(f"AllowedIPs = {', '.join(peer.subnets)}")
    return "\n".join([*lines, ""])


def parsed(dump: str) -> WireguardFacts:
    """From what `wg show … dump` says: the device's line, then one for each peer, in columns."""
    first, *rest = dump.splitlines()
    _, public_key, port, _ = first.split("\t")
    peers = []
    for line in rest:
        key, _, endpoint, subnets, *_ = line.split("\t")
        peers.append(WireguardPeer(key, endpoint, tuple(sorted(subnets.split(",")))))
    return WireguardFacts(public_key, int(port), frozenset(peers))


async def _wg(arguments: Sequence[str], given: str = "") -> str:
    """Raises as `commands.run`."""
    return await commands.run([_TOOL, *arguments], given, name=f"{_TOOL} {arguments[0]}")
