"""Joining without a certificate (issue 2, Trust)."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
import trio

from hivemind.peer import PeerConfig, PeerRefusal, PeerTimeout, PeerUnreachable, PeerUntrusted, request_join
from hivemind.peer.ca import ClusterCA, load_certificate, make_csr, make_key
from hivemind.peer.names import certificate_name
from hivemind.peer.token import make_token, secret_hash, secret_matches

SECRET = bytes(range(20))


class Door:
    """A daemon's join handler in small."""

    def __init__(self, ca: ClusterCA) -> None:
        self.ca = ca
        self.kept = secret_hash(make_token(ca.fingerprint, SECRET).secret)
        self.requests: list[tuple[str, Any]] = []

    async def join(self, address: str, body: Any) -> Any:
        self.requests.append((address, body))
        if not secret_matches(body["secret"], self.kept):
            raise PeerRefusal("wrong_token", "the join token's secret is not valid any more")
        certificate = self.ca.sign(body["csr_pem"], body["node_id"], now_s=time.time())
        return {"certificate_pem": certificate, "greeting": body["body"]["hello"]}


async def start(cluster: Any, **kwargs: Any) -> tuple[Any, Door]:
    channel = cluster.channel("seed", **kwargs)
    door = Door(cluster.ca)
    channel.serve_join(door.join)
    await cluster.start(channel)
    return channel, door


async def ask(channel: Any, token: Any, timeout_s: float = 5) -> Any:
    csr = make_csr(make_key(), "new")
    return await request_join(
        channel.address, token, node_id="new", csr_pem=csr, body={"hello": 1}, timeout_s=timeout_s
    )


async def test_a_joiner_gets_its_certificate(cluster: Any) -> None:
    channel, door = await start(cluster)
    answer = await ask(channel, make_token(cluster.ca.fingerprint, SECRET))
    assert answer["greeting"] == 1
    assert certificate_name(load_certificate(answer["certificate_pem"])).node_id == "new"
    assert door.requests[0][0].startswith("127.")


async def test_a_wrong_secret_is_refused_with_the_seed_s_words(cluster: Any, logs: Any) -> None:
    channel, _ = await start(cluster)
    with pytest.raises(PeerRefusal, match="not valid any more") as caught:
        await ask(channel, make_token(cluster.ca.fingerprint, bytes(20)))
    assert caught.value.code == "wrong_token"
    assert any("join rejected" in str(entry.get("reason")) for entry in logs)


async def test_the_secret_is_not_said_to_another_cluster(cluster: Any, logs: Any, eventually: Any) -> None:
    channel, door = await start(cluster)
    other = ClusterCA.make("alpha", now_s=time.time())
    with pytest.raises(PeerUntrusted, match="does not have the token's fingerprint"):
        await ask(channel, make_token(other.fingerprint, SECRET))
    await eventually(lambda: any("the joiner refused us" in str(entry.get("reason")) for entry in logs))
    assert door.requests == []


async def test_a_seed_that_shows_a_ca_which_did_not_sign_it_is_not_trusted(cluster: Any) -> None:
    """The CA's certificate is public: showing the right one proves nothing."""
    twin = ClusterCA.make("alpha", now_s=time.time())
    identity = cluster.identity("seed", ca=twin)
    impostor = msgspec.structs.replace(identity, ca_pems=(cluster.ca.certificate_pem,))
    channel, door = await start(cluster, identity=impostor)
    with pytest.raises(PeerUntrusted, match="not issued by this cluster's CA"):
        await ask(channel, make_token(cluster.ca.fingerprint, SECRET))
    assert door.requests == []


async def test_a_seed_with_an_expired_certificate_is_not_trusted(cluster: Any) -> None:
    expired = cluster.identity("seed", age_s=864_000, lifetime_s=86_400)
    channel, door = await start(cluster, identity=expired)
    with pytest.raises(PeerUntrusted, match="expired"):
        await ask(channel, make_token(cluster.ca.fingerprint, SECRET))
    assert door.requests == []


async def test_unreachable_seeds(cluster: Any) -> None:
    token = make_token(cluster.ca.fingerprint, SECRET)
    channel, _ = await start(cluster)
    address = channel.address
    await channel.aclose()
    with pytest.raises(PeerUnreachable, match="cannot connect"):
        await ask(channel, token)
    (hole,) = await trio.open_tcp_listeners(0, host=address[0])
    async with hole:
        with pytest.raises(PeerTimeout) as caught:
            await request_join(hole.socket.getsockname(), token, node_id="new", csr_pem="", body={}, timeout_s=0.3)
        assert not caught.value.ambiguous


async def test_without_a_certificate_nothing_but_joining_is_served(cluster: Any) -> None:
    channel = cluster.channel("seed", config=PeerConfig())
    await cluster.start(channel)
    with pytest.raises(PeerUnreachable, match="does not take joiners yet"):
        await ask(channel, make_token(cluster.ca.fingerprint, SECRET))
