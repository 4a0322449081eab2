"""Guessing is slowed down, and others are not."""

from __future__ import annotations

from typing import Any

from api.auth.lockout import FORGET_S, MAX_KEYS, Lockout


def test_each_failure_after_the_free_ones_doubles_the_wait() -> None:
    lockout, waits = Lockout(), []
    for _ in range(9):
        lockout.failed("admin", "10.0.0.1", 100.0)
        waits.append(lockout.wait_s("admin", "10.0.0.1", 100.0))
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert lockout.wait_s("admin", "10.0.0.2", 100.0) == 0
    assert lockout.wait_s("olga", "10.0.0.1", 100.0) == 0
    assert lockout.wait_s("admin", "10.0.0.1", 117.0) == 0


def test_an_address_that_tries_many_names_waits_for_all() -> None:
    lockout = Lockout()
    for number in range(25):
        lockout.failed(f"user-{number}", "10.0.0.1", 100.0)
    assert lockout.wait_s("anybody", "10.0.0.1", 100.0) == 32
    assert lockout.wait_s("anybody", "10.0.0.2", 100.0) == 0


def test_nobody_can_lock_a_user_out_for_long_from_many_addresses() -> None:
    lockout = Lockout()
    for number in range(500):
        lockout.failed("admin", f"10.0.{number // 250}.{number % 250}", 100.0)
    assert lockout.wait_s("admin", "192.0.2.1", 100.0) == 30


def test_success_and_time_forgive() -> None:
    lockout = Lockout()
    for _ in range(10):
        lockout.failed("admin", "10.0.0.1", 100.0)
    lockout.succeeded("admin", "10.0.0.1")
    assert lockout.wait_s("admin", "10.0.0.1", 100.0) == 0
    for _ in range(10):
        lockout.failed("olga", "10.0.0.9", 100.0)
    lockout.failed("olga", "10.0.0.9", 101.0 + FORGET_S)
    assert lockout.wait_s("olga", "10.0.0.9", 101.0 + FORGET_S) == 0


def test_memory_is_bounded() -> None:
    lockout = Lockout()
    for number in range(MAX_KEYS):
        lockout.failed(f"u{number}", f"a{number}", 1.0)
    assert len(lockout._failures) == MAX_KEYS


async def test_a_guesser_is_told_to_wait_and_the_password_is_not_looked_at(world: Any, make_client: Any) -> None:
    client = make_client(world, {})
    wrong = {"username": "vera", "password": "wrong"}
    assert [(await client.send("POST", "/auth/login", wrong))[0] for _ in range(6)] == [401] * 5 + [429]
    verified = world.hasher.verified
    right = {"username": "vera", "password": "vera-password"}
    status, body, headers = await client.request("POST", "/auth/login", right)
    assert (status, body["error"]["code"], headers["Retry-After"]) == (429, "rate_limit_exceeded", "1")
    assert world.hasher.verified == verified
    world.clock.now_s += 1.1
    assert (await client.send("POST", "/auth/login", right))[0] == 200
