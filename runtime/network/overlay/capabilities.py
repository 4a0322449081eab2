"""What this machine has for the overlay and what it lacks, said in the node's status."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import trio

from consensus.model.network import IPV6, Capability
from runtime.network.overlay import wireguard

_IPVS = Path("/proc/net/ip_vs")
_IPV6 = Path("/proc/sys/net/ipv6/conf")
_COMMANDS = ("ip6tables-save", "ip6tables-restore")
_MODULES = Path("/lib/modules")


async def look() -> tuple[Capability, ...]:
    """Raises OverlayError."""
    return (await wireguard.capability(), await trio.to_thread.run_sync(_ipv6), await trio.to_thread.run_sync(_ipvs))


def _ipv6() -> Capability:
    try:
        disabled = (_IPV6 / "all/disable_ipv6").read_text().strip() != "0"
    except OSError:
        return Capability(IPV6, False, "missing: IPv6 in this kernel")
    if disabled:
        return Capability(IPV6, False, "it is turned off: net.ipv6.conf.all.disable_ipv6 is 1")
    missing = [each for each in _COMMANDS if shutil.which(each) is None]
    if missing:
        return Capability(IPV6, False, f"missing: the commands {' and '.join(missing)}")
    return Capability(IPV6, True, "the kernel's")


def _ipvs() -> Capability:
    release = os.uname().release
    lists = [_MODULES / release / name for name in ("modules.builtin", "modules.dep")]
    if _IPVS.exists() or any("/ip_vs.ko" in each.read_text() for each in lists if each.is_file()):
        return Capability("ipvs", True, "there, and not used: virtual addresses are balanced by nftables")
    detail = f"the kernel {release} has no IPVS; it is not needed: virtual addresses are balanced by nftables"
    return Capability("ipvs", False, detail)
