"""TLS for the API's port: certificates by the cluster's CA, and files that are replaced while the daemon runs."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from hivemind import api_certificate
from hivemind.api_certificate import LIFETIME, CertificateFiles
from hivemind.api_tls import TlsFiles
from hivemind.config import ConfigError, load
from hivemind.peer.ca import ClusterCA
from hivemind.peer.errors import CertificateInvalid
from hivemind.peer.names import certificate_name
from hivemind.startup.obtain import StartupError

NOW = api_certificate.utc_now()
NAMES = api_certificate.names_of("node-1", ["127.8.8.8", "0.0.0.0"])


def make(folder: Path, ca: ClusterCA, name: str = "api") -> CertificateFiles:
    files = CertificateFiles(folder / f"{name}.pem", folder / f"{name}-key.pem")
    api_certificate.write(files, ca, NAMES, now=NOW)
    return files


@pytest.fixture(scope="module")
def ca() -> ClusterCA:
    return ClusterCA.make("c1", now_s=NOW.timestamp())


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    """The server's certificate (DER), as the client got it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = ends[0].getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def trusting(ca: ClusterCA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca.certificate_pem)


@pytest.mark.parametrize("name", ["node-1", "localhost", "127.8.8.8", "127.0.0.1", "::1"])
def test_clients_that_trust_the_cluster_reach_the_node_by_all_its_names(
    tmp_path: Path, ca: ClusterCA, name: str
) -> None:
    tls = TlsFiles(make(tmp_path, ca), None)
    tls.load()
    assert handshake(tls.context(), trusting(ca), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context(), trusting(ca), "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context(), trusting(ClusterCA.make("c2", now_s=NOW.timestamp())), name)


def test_the_certificate_says_nothing_of_membership(tmp_path: Path, ca: ClusterCA) -> None:
    certificate = x509.load_pem_x509_certificate(make(tmp_path, ca).certificate.read_bytes())
    with pytest.raises(CertificateInvalid):
        certificate_name(certificate)


def test_it_is_made_again_in_time_and_for_new_names(tmp_path: Path, ca: ClusterCA) -> None:
    files = make(tmp_path, ca)
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert api_certificate.still_good(files, NAMES, now=NOW)
    assert not api_certificate.still_good(files, NAMES, now=NOW + LIFETIME * 0.7)
    assert not api_certificate.still_good(files, (*NAMES, "other"), now=NOW)
    assert not api_certificate.still_good(CertificateFiles(tmp_path / "x", tmp_path / "y"), NAMES, now=NOW)


def test_new_files_hold_for_new_connections_and_broken_ones_change_nothing(tmp_path: Path, ca: ClusterCA) -> None:
    files = make(tmp_path, ca)
    tls = TlsFiles(files, None)
    tls.load()
    before = handshake(tls.context(), trusting(ca), "localhost")
    tls._look()
    assert handshake(tls.context(), trusting(ca), "localhost") == before
    make(tmp_path, ca)
    tls._look()
    after = handshake(tls.context(), trusting(ca), "localhost")
    assert after != before
    files.certificate.write_text("rubbish")
    tls._look()
    assert handshake(tls.context(), trusting(ca), "localhost") == after
    with pytest.raises(StartupError, match="TLS: expected"):
        TlsFiles(files, None).load()


def test_clients_must_show_a_certificate_where_a_client_ca_is_set(tmp_path: Path, ca: ClusterCA) -> None:
    files = make(tmp_path, ca)
    (tmp_path / "ca.pem").write_text(ca.certificate_pem)
    tls = TlsFiles(files, tmp_path / "ca.pem")
    tls.load()
    client = trusting(ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(tls.context(), client, "localhost")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"tls_cert": "c.pem"}, "go together"),
        ({"tls": "auto", "tls_cert": "c", "tls_key": "k"}, "one of them"),
        ({"tls_client_ca": "c"}, "without TLS"),
        ({"tls": "yes"}, "off or auto"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path: Path, flags: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load({"data_dir": str(tmp_path), "bind": "127.0.0.1", **flags}, {})
