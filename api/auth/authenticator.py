"""From the Authorization header to an Identity."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from api.auth import api_keys, grants, tokens
from api.auth.identity import Identity
from api.auth.lockout import Lockout
from api.auth.reach import Reach
from api.deps import Deps
from api.errors import ApiError, AuthenticationFailed, LockedOut, Unavailable
from api.journal import Journal
from api.route import Need
from consensus.model.user import User
from consensus.state import State

REMEMBER_S = 60.0
MAX_REMEMBERED = 1024


class _Verified(Struct, frozen=True):
    user_id: str
    credentials_version: int
    until_s: float


class Authenticator:
    """Checks credentials against the replica.

    A password that was right is remembered for `REMEMBER_S` under a keyed hash, so that Basic clients do not cost
    an argon2 each time; a changed password, role or user makes it forgotten at once.
    """

    def __init__(self, deps: Deps, journal: Journal) -> None:
        self._deps = deps
        self._journal = journal
        self._lockout = Lockout()
        self._tokens: OrderedDict[str, tuple[bytes, tokens.TokenClaims]] = OrderedDict()
        self._memory_key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._decoy_hash: str | None = None

    async def identify(self, authorization: str | None, address: str) -> Identity:
        """Raises AuthenticationFailed, LockedOut."""
        if not authorization:
            raise AuthenticationFailed("credentials are needed: a token, an API key, or a user name and password")
        scheme, _, credentials = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self.identify_token(credentials.strip())
        if scheme.lower() == "basic":
            user = await self.check_password(*_basic(credentials.strip()), address)
            return _identity(self._deps.replica.state, user)
        raise AuthenticationFailed("expected Authorization: Bearer or Basic")

    def identify_token(self, token: str) -> Identity:
        """A JWT or an API key. Raises AuthenticationFailed, Unavailable."""
        try:
            return self._identify_token(token)
        except AuthenticationFailed as error:
            raise self._refusal(error) from None

    def watch(self, identity: Identity, token: str | None, need: Need, reach: Reach) -> Callable[[], bool]:
        """Tells, whenever it is asked, whether the credentials that were shown still allow `need` as far as `reach`."""
        version = self._credentials_version(identity.user_id)

        def still_allowed() -> bool:
            state = self._deps.replica.state
            user = state.users.get(identity.user_id)
            if user is None or user.credentials_version != version:
                return False
            try:
                present = _identity(state, user) if token is None else self.identify_token(token)
            except AuthenticationFailed:
                return False
            return present.reach(need) == reach

        return still_allowed

    def _credentials_version(self, user_id: str) -> int:
        user = self._deps.replica.state.users.get(user_id)
        return 0 if user is None else user.credentials_version

    def _identify_token(self, token: str) -> Identity:
        state, now_s = self._deps.replica.state, self._deps.now_s()
        if token.startswith(api_keys.PREFIX):
            identity = _key_identity(token, state, now_s)
            self._journal.key_used(identity.key_id or "")
            return identity
        claims = self._claims(token)
        return _identity(state, tokens.check(claims, state=state, now_s=now_s), claims)

    def _claims(self, token: str) -> tokens.TokenClaims:
        """A signature is checked once, as long as its key stands."""
        keys = self._deps.token_keys()
        known = self._tokens.get(token)
        if known is not None and known[0] in keys:
            return known[1]
        claims = tokens.verify(token, keys)
        self._tokens[token] = (tokens.signer(token, keys), claims)
        if len(self._tokens) > MAX_REMEMBERED:
            self._tokens.popitem(last=False)
        return claims

    async def check_password(self, username: str, password: str, address: str) -> User:
        """The user whose password this is.

        Raises:
            AuthenticationFailed: it is wrong; in the same time for a user that is none.
            LockedOut: there were too many wrong ones before.
        """
        user = next((u for u in self._deps.replica.state.users.values() if u.username == username), None)
        memory = hashlib.blake2b(f"{username}\0{password}".encode(), key=self._memory_key, digest_size=32).digest()
        if user is not None and self._remembers(memory, user):
            return user
        wait_s = self._lockout.wait_s(username, address, self._deps.now_s())
        if wait_s:
            raise LockedOut(wait_s)
        password_hash = user.password_hash if user is not None else await self._decoy()
        right = await self._deps.passwords.verify(password_hash, password)
        if user is None or not right:
            error = self._refusal(AuthenticationFailed("the user name or the password is wrong"))
            if isinstance(error, AuthenticationFailed):
                self._lockout.failed(username, address, self._deps.now_s())
                self._journal.note(user_id=username, address=address, action="password", target="", outcome=error.code)
            raise error
        self._lockout.succeeded(username, address)
        self._remember(memory, user)
        return user

    def _refusal(self, error: AuthenticationFailed) -> ApiError:
        """A node that started and has not heard from a leader may not know these credentials yet, or any."""
        if self._deps.cluster.last_leader_contact_s is None:
            return Unavailable("this node has not caught up with its cluster yet: it does not know these credentials")
        return error

    def _remembers(self, memory: bytes, user: User) -> bool:
        known = self._verified.get(memory)
        return (
            known is not None
            and known.until_s > self._deps.now_s()
            and (known.user_id, known.credentials_version) == (user.id, user.credentials_version)
        )

    def _remember(self, memory: bytes, user: User) -> None:
        self._verified[memory] = _Verified(user.id, user.credentials_version, self._deps.now_s() + REMEMBER_S)
        self._verified.move_to_end(memory)
        if len(self._verified) > MAX_REMEMBERED:
            self._verified.popitem(last=False)

    async def _decoy(self) -> str:
        if self._decoy_hash is None:
            self._decoy_hash = await self._deps.passwords.hash(secrets.token_hex(16))
        return self._decoy_hash


def bearer(authorization: str | None) -> str | None:
    """The token in an Authorization header, where there is one."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _basic(credentials: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        raise AuthenticationFailed("the Basic credentials cannot be read") from None
    if not colon:
        raise AuthenticationFailed("the Basic credentials cannot be read")
    return username, password


def _identity(state: State, user: User, claims: tokens.TokenClaims | None = None) -> Identity:
    return Identity(
        user_id=user.id,
        username=user.username,
        role=user.role,
        grants=(grants.of_user(state, user),),
        token_id=claims.token_id if claims else None,
        token_expires_at_s=claims.expires_at_s if claims else None,
    )


def _key_identity(token: str, state: State, now_s: float) -> Identity:
    key = api_keys.read(token, state=state, now_s=now_s)
    owner = state.users.get(key.created_by)
    if owner is None:
        raise AuthenticationFailed("the API key's user is gone")
    return Identity(
        user_id=owner.id,
        username=owner.username,
        role=key.role,
        # A key can never do more than who made it can do now.
        grants=(grants.of_user(state, owner), grants.of_roles(state, [key.role])),
        key_id=key.id,
    )
