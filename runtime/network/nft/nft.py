"""The kernel's nftables, straight or by the nft command, and what else of this machine the ruleset stands on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import trio

from runtime.network.nft import encoding, netlink
from runtime.network.nft.errors import NftError
from runtime.network.nft.ruleset import TABLE, Command, Family

_BRIDGES = Path("/sys/class/net")


class Nft:
    """All methods raise NftError."""

    async def apply(self, commands: Sequence[Command]) -> None:
        """All of them or none."""
        transaction = encoding.transaction(commands)
        if transaction is None:
            await self._run(["nft", "-j", "-f", "-"], json.dumps({"nftables": list(commands)}))
        else:
            await trio.to_thread.run_sync(netlink.change, transaction)

    async def generation(self) -> int:
        """Another one after every change of any rule, whoever made it."""
        return await trio.to_thread.run_sync(netlink.generation)

    async def chains(self) -> frozenset[tuple[str, str]]:
        """Families and names of the chains in our tables; empty where there is no table."""
        return await trio.to_thread.run_sync(netlink.chains, TABLE)

    async def counters(self, family: Family) -> dict[str, int]:
        """Packets counted so far, by the counter's name."""
        return await trio.to_thread.run_sync(netlink.counters, family.table, TABLE)

    async def _run(self, command: Sequence[str], given: str = "") -> str:
        if shutil.which(command[0]) is None:
            raise NftError(f"there is no {command[0]} on this machine: install nftables")
        done = await trio.run_process(
            command, stdin=given.encode(), capture_stdout=True, capture_stderr=True, check=False
        )
        if done.returncode != 0:
            raise NftError(done.stderr.decode(errors="replace").strip()[:500])
        return done.stdout.decode()


def filter_bridge(bridge: str) -> str | None:
    """Lets the rules see what containers on one bridge send each other, and lets a container reach itself by a
    virtual address. What is missing, in words; None: all is as it should be. Blocks for a moment."""
    folder = _BRIDGES / bridge
    if not (folder / "bridge").is_dir():
        return f"there is no bridge {bridge} yet"
    try:
        _switch_on(folder / "bridge" / "nf_call_iptables")
        _switch_on(folder / "bridge" / "nf_call_ip6tables")
        for port in (folder / "brif").iterdir():
            _switch_on(port / "hairpin_mode")
    except OSError as error:
        return f"network policies do not hold between containers of this node: {error}"
    return None


def _switch_on(switch: Path) -> None:
    try:
        if switch.read_text().strip() != "1":
            switch.write_text("1")
    except FileNotFoundError:
        # A port that is gone by now.
        if switch.parent.is_dir():
            raise
