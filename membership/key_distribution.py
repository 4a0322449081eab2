"""The keyrings of a whole cluster, changed and listed while it runs (Serf's `keys`).

A rotation is three rounds over all members: install the new key, use it, remove the old one. After a round in which
somebody failed the next must wait: `KeyReport.complete` says so, and a round that would cut a member off is not begun
(a key is used when all have it, and removed when nobody uses it). The rounds travel over the stream, which is
encrypted and authenticated on its own, so they also reach a member whose keyring has fallen behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec
import trio

from membership.codec import decode_exchange, encode_exchange
from membership.errors import ExchangeRefused, KeyringError
from membership.keyring import Keyring
from membership.messages import ExchangeBody, KeyAnswer, KeyOperation, KeyRequest, PushPull, Refusal
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
    begun: bool = True
    """False where no keyring was touched, because a member is not ready for it."""

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

    def sign(self, told: PushPull) -> PushPull:
        """Add what this member seals with."""
        return msgspec.structs.replace(
            told, key_fingerprint=_fingerprint(self._keyring.used), key_generation=self._keyring.generation
        )

    def is_behind(self, told: PushPull) -> bool:
        """Whether who told this seals with the key of a later rotation."""
        return self._differs(told) and told.key_generation > self._keyring.generation

    def is_apart(self, told: PushPull) -> bool:
        """Whether who told this seals with another key, not known to be an older one."""
        return self._differs(told) and told.key_generation >= self._keyring.generation

    def _differs(self, told: PushPull) -> bool:
        return told.key_fingerprint not in (b"", _fingerprint(self._keyring.used))

    async def serve(self, request: KeyRequest) -> ExchangeBody:
        """Do what a member asks; what the keyring refuses is a Refusal."""
        try:
            await self._apply(request)
        except KeyringError as error:
            return Refusal(str(error))
        if request.operation is KeyOperation.FETCH:
            return KeyAnswer(self._keyring.keys, self._keyring.generation)
        return KeyAnswer(tuple(_fingerprint(key) for key in self._keyring.keys))

    async def change(
        self, operation: KeyOperation, key: bytes, *, members: Sequence[str], timeout_s: float
    ) -> KeyReport:
        """Do it here and at all these members, if all are ready for it."""
        if operation in (KeyOperation.USE, KeyOperation.REMOVE):
            before = await self._ask_all(KeyOperation.LIST, b"", members=members, timeout_s=timeout_s)
            unready = {name: why for name, ring in before.rings.items() if (why := _why_not(operation, key, ring))}
            if before.failed or unready:
                return KeyReport({}, dict(sorted({**before.failed, **unready}.items())), begun=False)
        return await self._ask_all(operation, key, members=members, timeout_s=timeout_s)

    async def _ask_all(
        self, operation: KeyOperation, key: bytes, *, members: Iterable[str], timeout_s: float
    ) -> KeyReport:
        rings: dict[str, tuple[str, ...]] = {}
        failed: dict[str, str] = {}
        limit = trio.CapacityLimiter(ASKED_AT_ONCE)
        request = KeyRequest(operation, key, self._keyring.generation + 1 if operation is KeyOperation.USE else 0)

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
        """Take over the keyring of a member that seals differently, unless ours is newer.

        Raises what the stream raises, KeyringError.
        """
        answer = _accepted(await self._ask(peer, KeyRequest(KeyOperation.FETCH, b""), timeout_s))
        if answer.keys and answer.keys[0] != self._keyring.used and answer.generation >= self._keyring.generation:
            self._keyring.replace(answer.keys, answer.generation)
            await self._saved()

    async def _ask(self, name: str, request: KeyRequest, timeout_s: float) -> ExchangeBody:
        payload = await self._exchange.exchange(name, KEYS_EXCHANGE, encode_exchange(request), timeout_s=timeout_s)
        return decode_exchange(payload)

    async def _apply(self, request: KeyRequest) -> None:
        match request.operation:
            case KeyOperation.INSTALL:
                self._keyring.install(request.key)
            case KeyOperation.USE:
                self._keyring.use(request.key, request.generation)
            case KeyOperation.REMOVE:
                if request.key in self._keyring.keys:
                    self._keyring.remove(request.key)
            case KeyOperation.LIST | KeyOperation.FETCH:
                return
        await self._saved()

    async def _saved(self) -> None:
        if self._save is not None:
            await self._save(self._keyring)


def _why_not(operation: KeyOperation, key: bytes, ring: Sequence[str]) -> str:
    """Why a member with these keys would lose packets by it; "" where it would not."""
    if operation is KeyOperation.USE and fingerprint(key) not in ring:
        return "install the key before using it"
    if operation is KeyOperation.REMOVE and fingerprint(key) == ring[0]:
        return "the key in use cannot be removed: use another one first"
    return ""


def _accepted(answer: ExchangeBody) -> KeyAnswer:
    match answer:
        case KeyAnswer():
            return answer
        case Refusal(reason=reason):
            raise ExchangeRefused(reason)
        case _:
            raise ExchangeRefused("the answer is not about keys")
