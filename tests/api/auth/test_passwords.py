"""argon2id (RFC 9106), off the loop."""

from __future__ import annotations

import time

import trio

from api.auth.passwords import MAX_WAITING, Argon2Hasher, hash_password, verify_password
from api.errors import Unavailable


async def test_a_hash_is_argon2id_and_verifies() -> None:
    hasher = Argon2Hasher()
    hashed = await hasher.hash("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hashed != hash_password("correct horse")
    assert await hasher.verify(hashed, "correct horse")
    assert not await hasher.verify(hashed, "wrong horse")
    assert not await hasher.verify(hashed, "x" * 5000)
    assert not verify_password("not a hash", "x")


async def test_the_loop_goes_on_while_passwords_are_checked() -> None:
    hasher, hashed, longest_s = Argon2Hasher(), hash_password("x"), 0.0

    async def check() -> None:
        await hasher.verify(hashed, "y")

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(check)
        for _ in range(50):
            # Its own CPU: on a busy machine a step takes longer than it is long.
            start_s = time.thread_time()
            await trio.lowlevel.checkpoint()
            longest_s = max(longest_s, time.thread_time() - start_s)
    assert longest_s < 0.02


async def test_a_crowd_is_told_to_come_back() -> None:
    hasher, hashed, refused = Argon2Hasher(at_once=1), hash_password("x"), 0

    async def check() -> None:
        nonlocal refused
        try:
            await hasher.verify(hashed, "y")
        except Unavailable:
            refused += 1

    with trio.move_on_after(0.2):
        async with trio.open_nursery() as nursery:
            for _ in range(MAX_WAITING + 20):
                nursery.start_soon(check)
    assert refused == 19
