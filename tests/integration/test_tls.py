"""TLS at the API's port of a real daemon: files that are replaced while it runs (issue 7, "Roles")."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from hivemind import api_certificate
from hivemind.api_certificate import CertificateFiles
from hivemind.peer.ca import ClusterCA, make_csr, make_key
from tests.support.addresses import free_addresses
from tests.support.cluster import API_PORT, PEER_PORT, Node
from tests.support.waiting import wait_until


@pytest.fixture
def founder(tmp_path: Path) -> Iterator[Node]:
    """Not started; a test adds what it is about to `argv`."""
    (address,) = free_addresses(1, (API_PORT, PEER_PORT))
    node = Node(1, "node-1", address, tmp_path, [sys.executable, "-m", "hivemind", "daemon", "--runtime", "process"])
    yield node
    node.stop()


def make(folder: Path, ca: ClusterCA, address: str) -> CertificateFiles:
    files = CertificateFiles(folder / "api.pem", folder / "api-key.pem")
    names = api_certificate.names_of("node-1", [address])
    api_certificate.write(files, ca, names, now=api_certificate.utc_now())
    return files


def trusting(*certificates_pem: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata="\n".join(certificates_pem))


def health(node: Node, context: ssl.SSLContext) -> int:
    with httpx2.Client(verify=context, trust_env=False) as client:
        return client.get(f"https://{node.address}:{API_PORT}/api/health").status_code


def refused(node: Node, context: ssl.SSLContext) -> bool:
    try:
        health(node, context)
    except httpx2.TransportError:
        return True
    return False


def test_replaced_files_hold_for_new_connections_and_broken_ones_change_nothing(tmp_path: Path, founder: Node) -> None:
    """Clients must show a certificate, as there is a CA for them; a connection that is open outlives all of it."""
    now_s = time.time()
    first, second, clients = (ClusterCA.make(name, now_s=now_s) for name in ("c1", "c2", "clients"))
    files = make(tmp_path, first, founder.address)
    client_ca, pair = tmp_path / "clients.pem", tmp_path / "client.pem"
    client_ca.write_text(clients.certificate_pem)
    key = make_key()
    pair.write_text(clients.sign(make_csr(key, "somebody"), "somebody", now_s=now_s) + key)
    founder.argv += ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    founder.argv += ["--tls-client-ca", str(client_ca)]
    founder.start()
    old, new = trusting(first.certificate_pem), trusting(second.certificate_pem)
    for context in (old, new):
        context.load_cert_chain(pair)
    wait_until(lambda: health(founder, old) == 200, 30, "it answers", errors=(httpx2.TransportError,))
    assert refused(founder, trusting(first.certificate_pem)), "without a certificate"
    assert refused(founder, new), "by another CA"
    with httpx2.Client(verify=old, trust_env=False, base_url=f"https://{founder.address}:{API_PORT}") as kept:
        assert kept.get("/api/health").status_code == 200
        make(tmp_path, second, founder.address)
        wait_until(lambda: health(founder, new) == 200, 20, "the new one", errors=(httpx2.TransportError,))
        assert refused(founder, old)
        assert kept.get("/api/health").status_code == 200
        broken = tmp_path / "broken"
        broken.write_text("rubbish")
        os.replace(broken, files.certificate)
        wait_until(lambda: "tls_reload_failed" in founder.log.read_text(), 20, "it is told")
        assert health(founder, new) == 200
        assert kept.get("/api/health").status_code == 200


def test_the_clusters_own_ca_makes_a_certificate_and_clients_can_be_told_of_it(tmp_path: Path, founder: Node) -> None:
    founder.argv += ["--tls", "auto"]
    founder.start()
    chain = founder.data_dir / "api-tls/certificate.pem"
    wait_until(chain.exists, 30, "it is made")
    ca = hivemind("admin", "ca", "--data-dir", str(founder.data_dir))
    assert ca.returncode == 0, ca.stderr
    wait_until(lambda: health(founder, trusting(ca.stdout)) == 200, 30, "it answers", errors=(httpx2.TransportError,))
    assert refused(founder, ssl.create_default_context())
    (tmp_path / "ca.pem").write_text(ca.stdout)
    server = {"HIVEMIND_SERVER": f"https://{founder.address}:{API_PORT}"}
    assert hivemind("wait", "--nodes", "1", SSL_CERT_FILE=str(tmp_path / "ca.pem"), **server).returncode == 0
    assert hivemind("admin", "ca", "--data-dir", str(tmp_path)).stderr.startswith("hivemind: no identity in ")


def hivemind(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hivemind", *arguments]
    return subprocess.run(argv, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False)
