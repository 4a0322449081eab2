"""The one writer of this node's identity file: certificates are renewed and gossip keys rotated while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import trio

from hivemind.peer.identity import Identity
from membership import Keyring


class IdentityKeeper:
    """`identity` is the newest, and what is on disk."""

    def __init__(self, identity: Identity, data_dir: Path) -> None:
        self.identity = identity
        self._data_dir = data_dir
        self._writing = trio.Lock()

    async def change(self, **fields: Any) -> Identity:
        """Returns when the changed identity is on disk. Raises IdentityBroken, OSError; then it is as it was."""
        async with self._writing:
            changed = msgspec.structs.replace(self.identity, **fields)
            await trio.to_thread.run_sync(changed.save, self._data_dir)
            self.identity = changed
            return changed

    async def save_keyring(self, keyring: Keyring) -> None:
        """Raises as `change`."""
        await self.change(keyring=keyring.serialise())
