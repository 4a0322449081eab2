"""The kernel's nftables, straight or by the nft command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

import trio

from runtime.network.nft import encoding, netlink
from runtime.network.nft.errors import NftError
from runtime.network.nft.ruleset import TABLE, Command, Family


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
