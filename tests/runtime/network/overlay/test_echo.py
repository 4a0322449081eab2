"""Echoes on loopback."""

from __future__ import annotations

import socket

import trio

from runtime.network.overlay.echo import PORT, Echoes
from tests.support.addresses import free_addresses
from tests.support.waiting import wait_until_async

RANGES = ("127.0.0.0/8",)


async def test_an_ask_of_any_length_is_answered_within_the_ranges_and_forgotten_after_its_round() -> None:
    answered: list[str] = []
    here, there = free_addresses(2, (PORT,))
    ranges = RANGES

    async def both() -> bool:
        return len(answered) == 2

    with Echoes(here, answered.append) as asker, Echoes[str](there, answered.append) as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asker.run, lambda: RANGES)
            nursery.start_soon(other.run, lambda: ranges)
            asker.ask(there, "short")
            asker.ask(there, "full", 1400)
            await wait_until_async(both, 5, "both answers")
            assert sorted(answered) == ["full", "short"]
            asker.ask(there, "late")
            asker.forget()
            ranges = ("10.0.0.0/8",)
            asker.ask(there, "outside")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(b"rubbish", (there, PORT))
            await trio.sleep(0.2)
            assert len(answered) == 2
            nursery.cancel_scope.cancel()
