"""Passwords: argon2id in PHC form (OWASP's first choice: 19 MiB, two passes), off the loop and few at a time."""

from __future__ import annotations

import nacl.exceptions
import nacl.pwhash.argon2id
import trio

from api.errors import Unavailable

_PASSES = 2
_MEMORY_BYTES = 19 * 1024 * 1024
MAX_PASSWORD_BYTES = 1024
MAX_WAITING = 100


def hash_password(password: str) -> str:
    """Takes some 30 ms: not for the loop."""
    return nacl.pwhash.argon2id.str(password.encode(), opslimit=_PASSES, memlimit=_MEMORY_BYTES).decode()


def verify_password(password_hash: str, password: str) -> bool:
    """Takes some 30 ms: not for the loop. False also where `password_hash` is none."""
    try:
        return nacl.pwhash.argon2id.verify(password_hash.encode(), password.encode())
    except (nacl.exceptions.InvalidkeyError, nacl.exceptions.ValueError):
        return False


class Argon2Hasher:
    """`at_once` hashes in worker threads; others wait, so that guessing costs the guesser and not the node.

    Its methods raise Unavailable where `MAX_WAITING` wait already.
    """

    def __init__(self, *, at_once: int = 2) -> None:
        self._limiter = trio.CapacityLimiter(at_once)

    async def hash(self, password: str) -> str:
        self._refuse_crowds()
        return await trio.to_thread.run_sync(hash_password, password, limiter=self._limiter)

    async def verify(self, password_hash: str, password: str) -> bool:
        if len(password.encode()) > MAX_PASSWORD_BYTES:
            return False
        self._refuse_crowds()
        return await trio.to_thread.run_sync(verify_password, password_hash, password, limiter=self._limiter)

    def _refuse_crowds(self) -> None:
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise Unavailable("too many passwords are being checked now")
