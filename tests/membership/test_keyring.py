"""Keys: several accepted, one used, rotation without loss."""

import msgspec
import pytest

from membership import Keyring, KeyringError, NotSealedForUs

OLD, NEW = b"o" * 32, b"n" * 32


def test_rotation_loses_no_packet() -> None:
    """In every state between the steps, each of two members opens what the other seals."""
    one, two = Keyring([OLD]), Keyring([OLD])

    def talk() -> None:
        assert two.open(one.seal(b"x")) == b"x"
        assert one.open(two.seal(b"x")) == b"x"

    for step in (Keyring.install, Keyring.use):
        for ring in (one, two):
            step(ring, NEW)
            talk()
    for ring in (one, two):
        ring.remove(OLD)
        talk()
    with pytest.raises(NotSealedForUs):
        one.open(Keyring([OLD]).seal(b"x"))


def test_refusals() -> None:
    ring = Keyring([OLD])
    with pytest.raises(KeyringError, match="32 bytes"):
        ring.install(b"short")
    with pytest.raises(KeyringError, match="install"):
        ring.use(NEW)
    with pytest.raises(KeyringError, match="in use"):
        ring.remove(OLD)
    with pytest.raises(KeyringError, match="not in"):
        ring.remove(NEW)
    with pytest.raises(KeyringError, match="at least one"):
        Keyring([])


def test_serialised_and_back_with_the_used_key_first() -> None:
    ring = Keyring([OLD, NEW])
    ring.use(NEW)
    ring.use(NEW, 3)
    kept = Keyring.deserialise(ring.serialise())
    assert (kept.keys, kept.generation) == ((NEW, OLD), 3)
    without_generation = Keyring.deserialise(msgspec.msgpack.encode((NEW, OLD)))
    assert (without_generation.keys, without_generation.generation) == ((NEW, OLD), 0)
    with pytest.raises(KeyringError):
        Keyring.deserialise(b"junk")
