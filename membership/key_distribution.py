"""The keyrings of a whole cluster, changed and listed while it runs (Serf's `keys`).

A rotation is three rounds over all members: install the new key, use it, remove the old one. After a round in which
somebody failed the next must wait: `KeyReport.complete` says so. The rounds travel over the stream, which is
encrypted and authenticated on its own, so they also reach a member whose keyring has fallen behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec
import trio

from membership.codec import decode_exchange, encode_exchange
from membership.errors import ExchangeRefused, KeyringError
from membership.keyring import Keyring
from membership.messages import ExchangeBody, KeyAnswer, KeyOperation, KeyRequest, Refusal
from membership.transport import StreamExchange

KEYS_EXCHANGE = "keys"
ASKED_AT_ONCE = 32
FINGERPRINT_BYTES = 8

SaveKeyring: TypeAlias = Callable[[Keyring], Awaitable[None]]


def fingerprint(key: bytes) -> str:
    """What a key is called where it must stay secret: 16 hexadecimal digits."""
    return _fingerprint(key).hex()


def _fingerprint(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=FINGERPRINT_BYTES, person=b"hivemind-keyring").digest()


class KeyReport(msgspec.Struct, frozen=True):
    """How a round went, member by member."""

    rings: Mapping[str, tuple[str, ...]]
    """Of each member that did it, the fingerprints of its keys, the used one first."""
    failed: Mapping[str, str]
    """Member to the reason."""

    @property
    def complete(self) -> bool:
        """Whether every member that was asked did it, so that the next round may begin."""
        return not self.failed


class KeyDistribution:
    """Both sides. `save` is called with the keyring after each change of it, before the change is reported."""

    def __init__(self, own_name: str, keyring: Keyring, exchange: StreamExchange, save: SaveKeyring | None) -> None:
        self._own_name = own_name
        self._keyring = keyring
        self._exchange = exchange
        self._save = save

    @property
    def used_fingerprint(self) -> bytes:
        """Of the key that this member seals with."""
        return _fingerprint(self._keyring.used)

    async def serve(self, request: KeyRequest) -> ExchangeBody:
        """Do what a member asks; what the keyring refuses is a Refusal."""
        try:
            await self._apply(request)
        except KeyringError as error:
            return Refusal(str(error))
        if request.operation is KeyOperation.FETCH:
            return KeyAnswer(self._keyring.keys)
        return KeyAnswer(tuple(_fingerprint(key) for key in self._keyring.keys))

    async def ask_all(
        self, operation: KeyOperation, key: bytes, *, members: Iterable[str], timeout_s: float
    ) -> KeyReport:
        """Do it here and at all these members."""
        rings: dict[str, tuple[str, ...]] = {}
        failed: dict[str, str] = {}
        limit = trio.CapacityLimiter(ASKED_AT_ONCE)
        request = KeyRequest(operation, key)

        async def ask(name: str) -> None:
            async with limit:
                try:
                    answer = await (
                        self.serve(request) if name == self._own_name else self._ask(name, request, timeout_s)
                    )
                    rings[name] = tuple(print_.hex() for print_ in _accepted(answer).keys)
                except Exception as error:
                    # Whatever stops a stream to one member is that member's line in the report.
                    failed[name] = str(error) or type(error).__name__

        async with trio.open_nursery() as nursery:
            for name in members:
                nursery.start_soon(ask, name)
        return KeyReport(dict(sorted(rings.items())), dict(sorted(failed.items())))

    async def catch_up(self, peer: str, *, timeout_s: float) -> None:
        """Take over the keys of a member, and use the one that it uses. Raises what the stream raises, KeyringError."""
        answer = _accepted(await self._ask(peer, KeyRequest(KeyOperation.FETCH, b""), timeout_s))
        if not answer.keys or answer.keys[0] == self._keyring.used:
            return
        for key in answer.keys:
            self._keyring.install(key)
        self._keyring.use(answer.keys[0])
        await self._saved()

    async def _ask(self, name: str, request: KeyRequest, timeout_s: float) -> ExchangeBody:
        payload = await self._exchange.exchange(name, KEYS_EXCHANGE, encode_exchange(request), timeout_s=timeout_s)
        return decode_exchange(payload)

    async def _apply(self, request: KeyRequest) -> None:
        match request.operation:
            case KeyOperation.INSTALL:
                self._keyring.install(request.key)
            case KeyOperation.USE:
                self._keyring.use(request.key)
            case KeyOperation.REMOVE:
                if request.key in self._keyring.keys:
                    self._keyring.remove(request.key)
            case KeyOperation.LIST | KeyOperation.FETCH:
                return
        await self._saved()

    async def _saved(self) -> None:
        if self._save is not None:
            await self._save(self._keyring)


def _accepted(answer: ExchangeBody) -> KeyAnswer:
    match answer:
        case KeyAnswer():
            return answer
        case Refusal(reason=reason):
            raise ExchangeRefused(reason)
        case _:
            raise ExchangeRefused("the answer is not about keys")
