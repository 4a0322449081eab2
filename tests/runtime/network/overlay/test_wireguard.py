"""The words that `wg` is told and says, and this node's key."""

from __future__ import annotations

import base64
from pathlib import Path

from nacl.public import PrivateKey

from runtime.network.overlay import keys
from runtime.network.overlay.changes import ConfigureWireguard
from runtime.network.overlay.found import WireguardFacts, WireguardPeer
from runtime.network.overlay.keys import TunnelKey
from runtime.network.overlay.wireguard import configuration, parsed

_KEY = TunnelKey(private="secret", public="shown")


def test_the_key_is_made_once_is_nobody_elses_to_read_and_another_one_after_leaving(tmp_path: Path) -> None:
    first = keys.load_or_make(tmp_path)
    assert keys.load_or_make(tmp_path) == first
    assert (tmp_path / keys.FILE).stat().st_mode & 0o777 == 0o600
    private = PrivateKey(base64.b64decode(first.private))
    assert base64.b64encode(bytes(private.public_key)).decode() == first.public
    keys.forget(tmp_path)
    assert keys.load_or_make(tmp_path).public != first.public
    (tmp_path / keys.FILE).write_text("half a ke")
    assert len(base64.b64decode(keys.load_or_make(tmp_path).public)) == 32
    assert [each.name for each in tmp_path.iterdir()] == [keys.FILE]


def test_a_key_that_is_shown_does_not_give_its_secret_away() -> None:
    assert "secret" not in f"{_KEY} {_KEY!r}"


def test_what_wg_is_told() -> None:
    peers = (WireguardPeer("theirs", "[fd00::2]:51842", ("10.244.1.0/24", "fd12::/64")),)
    assert configuration(ConfigureWireguard("hivemind-wg", 51842, peers), _KEY) == (
        "[Interface]\nPrivateKey = secret\nListenPort = 51842\n"
        "[Peer]\nPublicKey = theirs\nEndpoint = [fd00::2]:51842\nAllowedIPs = 10.244.1.0/24, fd12::/64\n"
    )


def test_what_wg_says() -> None:
    """wg(8), `show … dump`: private key, public key, port and mark; then eight columns for each peer."""
    dump = "secret\tshown\t51842\toff\ntheirs\t(none)\t10.0.0.3:51842\tfd12::/64,10.244.1.0/24\t0\t0\t0\toff\n"
    peer = WireguardPeer("theirs", "10.0.0.3:51842", ("10.244.1.0/24", "fd12::/64"))
    assert parsed(dump) == WireguardFacts("shown", 51842, frozenset({peer}))
    assert parsed("(none)\t(none)\t0\toff\n") == WireguardFacts("(none)", 0, frozenset())
