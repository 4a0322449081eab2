"""Trust (design.md §5): who is not let in, and is told why; and that a join waits for its seed."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hivemind.peer.ca import ClusterCA, make_csr, make_key
from hivemind.peer.identity import Identity
from hivemind.peer.token import parse_token
from tests.support.addresses import free_addresses
from tests.support.cluster import API_PORT, PEER_PORT, PROGRAM, Cluster, Node
from tests.support.processes import end_processes_of
from tests.support.waiting import wait_until

STARTUP_S = 30.0


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node, which others try to join."""
    with Cluster(data_dir=tmp_path_factory.mktemp("member"), nodes=1) as cluster:
        yield cluster


@pytest.fixture
def newcomers(tmp_path: Path) -> Iterator[list[Node]]:
    """Daemons that a test started; they end with it."""
    started: list[Node] = []
    yield started
    for node in started:
        node.stop()
    end_processes_of(tmp_path)


def newcomer(cluster: Cluster, folder: Path, started: list[Node], *options: str, name: str | None = None) -> Node:
    """A daemon beside the cluster, on an address of its own; not started yet."""
    address = free_addresses(1, (API_PORT, PEER_PORT))[0]
    argv = [*PROGRAM, "daemon", "--runtime", "process", "--rate-limit", "off", *options]
    node = Node(9, name or f"new-{secrets.token_hex(3)}", address, folder, argv)
    started.append(node)
    return node


def seed(cluster: Cluster) -> str:
    return f"{cluster.node(1).address}:{PEER_PORT}"


def status_of(cluster: Cluster, node: Node) -> str:
    with cluster.client(1) as client:
        return str(client.get(f"/api/nodes/{node.name}").json()["data"]["status"])


def members_state(cluster: Cluster) -> tuple[object, ...]:
    """What must not change when somebody is refused."""
    with cluster.client(1) as client:
        nodes = client.get("/api/nodes").json()["data"]["nodes"]
        status = client.get("/api/cluster").json()["data"]
    return [(node["id"], node["address"], node["status"]) for node in nodes], status["voters"], status["nodes"]


def refused(node: Node) -> str:
    """Starts a daemon that must end with 1, and returns its last line."""
    node.start()
    assert node.wait(STARTUP_S) == 1, node.log_tail()
    last: str = node.log_tail(1)
    assert last.startswith("hivemind: "), node.log_tail()
    assert "Traceback" not in node.log.read_text()
    return last


def join(cluster: Cluster, folder: Path, started: list[Node], token: str, *, name: str | None = None) -> Node:
    return newcomer(cluster, folder, started, "--join", seed(cluster), "--token", token, name=name)


def logged(node: Node, pattern: str) -> str:
    """The line of a daemon's log that has `pattern`, as soon as it is there."""

    def find() -> str | None:
        lines = node.log.read_text().splitlines() if node.log.exists() else []
        return next((line for line in lines if re.search(pattern, line)), None)

    return wait_until(find, STARTUP_S, f"{pattern!r} in the log of {node.name}")  # type: ignore[return-value]


class TestRefused:
    def test_a_wrong_secret(self, member: Cluster, tmp_path: Path, newcomers: list[Node]) -> None:
        before, token = members_state(member), parse_token(member.join_token())
        node = join(member, tmp_path, newcomers, f"hm1.{token.fingerprint}.{secrets.token_hex(20)}")
        assert "the join token's secret is wrong, or was rotated" in refused(node)
        assert "wrong join secret" in logged(member.node(1), f"join_denied.*{node.name}")
        assert members_state(member) == before

    def test_a_token_of_another_cluster(self, member: Cluster, tmp_path: Path, newcomers: list[Node]) -> None:
        before, token = members_state(member), parse_token(member.join_token())
        other = ClusterCA.make("other", now_s=time.time())
        node = join(member, tmp_path, newcomers, f"hm1.{other.fingerprint}.{token.secret}")
        assert "its CA does not have the token's fingerprint: it is another cluster's" in refused(node)
        logged(member.node(1), "another cluster's")
        assert token.secret not in member.node(1).log.read_text()
        assert members_state(member) == before

    @pytest.mark.parametrize("length", [3, 30, 70])
    def test_a_cut_off_token(self, member: Cluster, tmp_path: Path, newcomers: list[Node], length: int) -> None:
        token = member.join_token()
        node = join(member, tmp_path, newcomers, token[:length])
        assert "join token" in refused(node)

    def test_an_id_that_is_taken(self, member: Cluster, tmp_path: Path, newcomers: list[Node]) -> None:
        before = members_state(member)
        node = join(member, tmp_path, newcomers, member.join_token(), name=member.node(1).name)
        text = refused(node)
        assert member.node(1).name in text
        assert "refused this node" in text
        logged(member.node(1), "join_denied")
        assert members_state(member) == before

    def test_no_token(self, member: Cluster, tmp_path: Path, newcomers: list[Node]) -> None:
        node = newcomer(member, tmp_path, newcomers, "--join", seed(member))
        assert "`hivemind cluster token` prints it" in refused(node)

    def test_an_expired_certificate(self, member: Cluster, tmp_path: Path, newcomers: list[Node]) -> None:
        """A node that was away for long: it says how it gets a new one, and gets it."""
        node = join(member, tmp_path, newcomers, member.join_token())
        node.start()
        wait_until(lambda: node.name in member.ready_nodes(1), STARTUP_S, "the newcomer is ready")
        node.kill9()
        wait_until(lambda: status_of(member, node) == "lost", 60, "it is lost")
        certify(node, member, lifetime_s=1, ago_s=10)
        command = list(node.argv)
        del node.argv[node.argv.index("--join") : node.argv.index("--token") + 2]
        assert "has expired: start it with --join and --token to renew it" in refused(node)
        node.argv = command
        node.start()
        wait_until(lambda: node.name in member.ready_nodes(1), 60, f"it is back: {node.log_tail()}")
        logged(node, "certificate_expired")
        assert not Identity.load(node.data_dir).expired(time.time())
        node.stop()
        forget(member, node)

    def test_a_certificate_of_a_foreign_ca(self, member: Cluster, tmp_path: Path, newcomers: list[Node]) -> None:
        """Somebody with everything but a certificate of this cluster's CA is no member to anybody."""
        node = join(member, tmp_path, newcomers, member.join_token())
        node.start()
        wait_until(lambda: node.name in member.ready_nodes(1), STARTUP_S, "the newcomer is ready")
        assert node.sigterm() == 0
        before = members_state(member)
        certify(node, member, ca=ClusterCA.make(Identity.load(node.data_dir).cluster_id, now_s=time.time()))
        size = member.node(1).log.stat().st_size
        node.start()
        logged(node, "link_.*(certificate|trust|unknown ca|refused|denied|TLS)")
        wait_until(
            lambda: re.search("certificate|trust|unknown ca|TLS", member.node(1).log.read_text()[size:]),
            STARTUP_S,
            "the member says why",
        )
        assert status_of(member, node) != "ready"
        assert members_state(member)[1:] == before[1:]
        node.kill9()
        forget(member, node)


def certify(
    node: Node, cluster: Cluster, *, ca: ClusterCA | None = None, lifetime_s: float = 3600.0, ago_s: float = 0.0
) -> None:
    """Gives a stopped node another certificate: of `ca`, or of its own cluster's, taken from the founder's state."""
    identity = Identity.load(node.data_dir)
    key_pem = make_key()
    authority = ca or cluster_ca(cluster)
    now_s = time.time() - ago_s
    certificate = authority.sign(make_csr(key_pem, node.name), node.name, now_s=now_s, lifetime_s=lifetime_s)
    changed = Identity(
        node_id=identity.node_id,
        cluster_id=identity.cluster_id,
        key_pem=key_pem,
        certificate_pem=certificate,
        ca_pems=identity.ca_pems,
        member_key=identity.member_key,
        keyring=identity.keyring,
    )
    changed.save(node.data_dir)


def cluster_ca(cluster: Cluster) -> ClusterCA:
    """The cluster's CA, as any member can open it: from the founding command in the founder's log."""
    founder = Identity.load(cluster.node(1).data_dir)
    for path in sorted((cluster.node(1).data_dir / "raft").rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        for match in re.finditer(rb"ca_key_sealed", data):
            for start in range(match.end(), match.end() + 4):
                # msgpack's bin 8 and bin 16: a length, then the bytes.
                size = int.from_bytes(data[start + 1 : start + (2 if data[start] == 0xC4 else 3)])
                begin = start + (2 if data[start] == 0xC4 else 3)
                if data[start] in (0xC4, 0xC5):
                    sealed = data[begin : begin + size]
                    return ClusterCA.unseal(founder.ca_pems[0], sealed, founder.member_key)
    raise AssertionError("no sealed CA key in the founder's log")


def forget(cluster: Cluster, node: Node) -> None:
    with cluster.client(1, timeout_s=30) as client:
        answer = client.delete(f"/api/nodes/{node.name}", params={"force": "true"})
        assert answer.status_code == 200, answer.text


class TestAdmitted:
    def test_a_seed_that_is_down_is_tried_again_until_it_is_up(
        self, member: Cluster, tmp_path: Path, newcomers: list[Node]
    ) -> None:
        node = join(member, tmp_path, newcomers, member.join_token())
        assert member.node(1).sigterm() == 0
        node.start()
        logged(node, "join_failed.*reason")
        logged(node, "join_retry.*after_s=0.5")
        logged(node, "joining.*attempt=3")
        member.node(1).start()
        wait_until(lambda: node.name in member.ready_nodes(1), 60, "the newcomer is ready", errors=(Exception,))

        # The same command again, as an init system gives it: it is a member now, and asks nobody.
        assert node.sigterm() == 0
        joins = node.log.read_text().count("joining")
        node.start()
        wait_until(lambda: node.log.read_text().count("node_ready") == 2, 60, "it is back")
        assert node.log.read_text().count("joining") == joins
        node.stop()
        forget(member, node)

    def test_the_second_seed_is_asked_when_the_first_is_none(
        self, member: Cluster, tmp_path: Path, newcomers: list[Node]
    ) -> None:
        nobody = free_addresses(1, (PEER_PORT,))[0]
        options = ("--join", f"{nobody}:{PEER_PORT}", "--join", seed(member), "--token", member.join_token())
        node = newcomer(member, tmp_path, newcomers, *options)
        node.start()
        wait_until(lambda: node.name in member.ready_nodes(1), STARTUP_S, "the newcomer is ready")
        assert nobody in logged(node, "join_failed")
        assert seed(member) in logged(node, "joined ")
        node.stop()
        forget(member, node)

    def test_stopping_while_it_waits_for_a_seed_is_clean(
        self, member: Cluster, tmp_path: Path, newcomers: list[Node]
    ) -> None:
        nobody = free_addresses(1, (PEER_PORT,))[0]
        node = newcomer(member, tmp_path, newcomers, "--join", nobody, "--token", member.join_token())
        node.start()
        logged(node, "join_retry")
        assert node.sigterm() == 0
