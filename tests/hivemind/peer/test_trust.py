"""CA, tokens and identities (design.md section 5)."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from hivemind.peer import ca as ca_module
from hivemind.peer.ca import ClusterCA, check_issued_by, fingerprint, load_certificate, make_csr, make_key
from hivemind.peer.errors import CertificateInvalid, IdentityBroken, IdentityMissing, TokenInvalid
from hivemind.peer.identity import Identity
from hivemind.peer.names import CertificateName, certificate_name, is_node_id
from hivemind.peer.token import make_token, parse_token, secret_hash, secret_matches

NOW_S = 1_800_000_000.0
DAY_S = 86_400


def signed(ca: ClusterCA, node_id: str = "node-1") -> x509.Certificate:
    return load_certificate(ca.sign(make_csr(make_key(), node_id), node_id, now_s=NOW_S))


def test_a_certificate_names_its_cluster_and_node() -> None:
    certificate = signed(ClusterCA.make("alpha", now_s=NOW_S))
    assert certificate_name(certificate) == CertificateName(cluster_id="alpha", node_id="node-1")
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == ["hivemind://alpha/node-1"]
    lifetime = certificate.not_valid_after_utc.timestamp() - NOW_S
    assert lifetime == 90 * DAY_S


def test_a_ca_survives_pem_and_sealing() -> None:
    ca = ClusterCA.make("alpha", now_s=NOW_S)
    again = ClusterCA.load(ca.certificate_pem, ca.key_pem)
    assert again.fingerprint == ca.fingerprint
    assert again.cluster_id == "alpha"
    member_key = os.urandom(32)
    sealed = ca.seal_key(member_key)
    assert b"PRIVATE" not in sealed
    unsealed = ClusterCA.unseal(ca.certificate_pem, sealed, member_key)
    check_issued_by(signed(unsealed), load_certificate(ca.certificate_pem), now_s=NOW_S)
    with pytest.raises(CertificateInvalid, match="cannot be opened with this member key"):
        ClusterCA.unseal(ca.certificate_pem, sealed, os.urandom(32))
    other = ClusterCA.make("alpha", now_s=NOW_S)
    with pytest.raises(CertificateInvalid, match="does not belong"):
        ClusterCA.load(ca.certificate_pem, other.key_pem)


def test_issued_by_checks_signature_and_time() -> None:
    ca = ClusterCA.make("alpha", now_s=NOW_S)
    authority = load_certificate(ca.certificate_pem)
    leaf = signed(ca)
    check_issued_by(leaf, authority, now_s=NOW_S)
    with pytest.raises(CertificateInvalid, match="expired"):
        check_issued_by(leaf, authority, now_s=NOW_S + 91 * DAY_S)
    with pytest.raises(CertificateInvalid, match="valid only from"):
        check_issued_by(leaf, authority, now_s=NOW_S - DAY_S)
    twin = load_certificate(ClusterCA.make("alpha", now_s=NOW_S).certificate_pem)
    with pytest.raises(CertificateInvalid, match="not issued by"):
        check_issued_by(leaf, twin, now_s=NOW_S)


def test_requests_that_are_not_signed() -> None:
    ca = ClusterCA.make("alpha", now_s=NOW_S)
    with pytest.raises(CertificateInvalid, match="not a PEM certificate request"):
        ca.sign("rubbish", "node-1", now_s=NOW_S)
    with pytest.raises(CertificateInvalid, match="not a node id"):
        ca.sign(make_csr(make_key(), "x"), "../etc", now_s=NOW_S)
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(ca_module.serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateInvalid, match="neither EC nor Ed25519"):
        ca.sign(pem, "node-1", now_s=NOW_S)
    assert not is_node_id("")
    assert not is_node_id("A")
    assert not is_node_id("a" * 64)


def test_tokens_round_trip_and_hide_their_secret() -> None:
    token = make_token(ClusterCA.make("alpha", now_s=NOW_S).fingerprint, bytes(range(20)))
    assert parse_token(f"  {token}\n") == token
    assert token.secret not in repr(token)
    kept = secret_hash(token.secret)
    assert token.secret not in kept
    assert secret_matches(token.secret, kept)
    assert not secret_matches(token.secret + "0", kept)
    with pytest.raises(TokenInvalid, match="at least 16"):
        make_token(token.fingerprint, b"short")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("hm2.x.y", "does not begin with 'hm1.'"),
        ("SWMTKN-1-abc", "does not begin with 'hm1.'"),
        ("hm1." + "a" * 52, "2 parts, expected 3"),
        ("hm1.abc." + "0" * 40, "fingerprint"),
        ("hm1." + "a" * 52 + ".123", "secret"),
        ("hm1." + "a" * 52 + "." + "0" * 40 + ".x", "4 parts"),
    ],
)
def test_a_wrong_token_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(TokenInvalid, match=problem):
        parse_token(text)


def test_an_identity_is_kept_with_tight_modes(authority: Any, tmp_path: Path) -> None:
    with pytest.raises(IdentityMissing):
        Identity.load(tmp_path)
    identity = authority.identity("node-1")
    identity.save(tmp_path)
    assert Identity.load(tmp_path) == identity
    folder = tmp_path / "identity"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]
    assert "PRIVATE" not in repr(identity)
    renewed = authority.identity("node-1")
    renewed.save(tmp_path)
    assert Identity.load(tmp_path) == renewed


def test_a_damaged_identity_is_refused(authority: Any, tmp_path: Path) -> None:
    identity = authority.identity("node-1")
    identity.save(tmp_path)
    path = tmp_path / "identity" / "identity.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IdentityBroken, match="damaged"):
        Identity.load(tmp_path)
    other = authority.identity("node-2")
    for broken, problem in (
        (msgspec.structs.replace(identity, key_pem=other.key_pem), "key does not belong"),
        (msgspec.structs.replace(identity, node_id="node-9"), "the certificate is for node-1"),
        (msgspec.structs.replace(identity, member_key=b"short"), "32 bytes"),
        (msgspec.structs.replace(identity, ca_pems=()), "no CA"),
    ):
        with pytest.raises(IdentityBroken, match=problem):
            broken.save(tmp_path)


def test_renewal_is_due_at_two_thirds(authority: Any) -> None:
    identity = authority.identity("node-1")
    now_s = time.time()
    assert not identity.renew_due(now_s + 59 * DAY_S)
    assert identity.renew_due(now_s + 61 * DAY_S)
    assert not identity.expired(now_s + 89 * DAY_S)
    assert identity.expired(now_s + 91 * DAY_S)


def test_fingerprints_are_those_of_the_certificate() -> None:
    ca = ClusterCA.make("alpha", now_s=NOW_S)
    assert fingerprint(load_certificate(ca.certificate_pem)) == ca.fingerprint
    assert len(ca.fingerprint) == 52
