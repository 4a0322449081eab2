"""What this machine has for the overlay and what it lacks, said in the node's status."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from consensus.model.network import Capability
from runtime.network.overlay import wireguard

_IPVS = Path("/proc/net/ip_vs")
_MODULES = Path("/lib/modules")


async def look() -> tuple[Capability, ...]:
    """Raises OverlayError."""
    return (await wireguard.capability(), await trio.to_thread.run_sync(_ipvs))


def _ipvs() -> Capability:
    release = os.uname().release
    lists = [_MODULES / release / name for name in ("modules.builtin", "modules.dep")]
    if _IPVS.exists() or any("/ip_vs.ko" in each.read_text() for each in lists if each.is_file()):
        return Capability("ipvs", True, "there, and not used: virtual addresses are balanced by nftables")
    detail = f"the kernel {release} has no IPVS; it is not needed: virtual addresses are balanced by nftables"
    return Capability("ipvs", False, detail)
