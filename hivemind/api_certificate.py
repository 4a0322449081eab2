"""``--tls auto``: a certificate for this node's API, by the cluster's CA.

It says nothing of membership: the peer channel wants a URI that names node and cluster, which this one has not.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from consensus import durable
from hivemind.peer.ca import ClusterCA

LIFETIME = timedelta(days=90)
RENEW_BEFORE = LIFETIME / 3
CLOCK_SKEW = timedelta(minutes=5)


class CertificateFiles(Struct, frozen=True):
    """PEM: the certificate with its chain, and its key."""

    certificate: Path
    key: Path


def names_of(node_id: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """What clients may call this node: its id, its host's name, localhost, its addresses."""
    known = [a for a in addresses if not ipaddress.ip_address(a).is_unspecified]
    return tuple(dict.fromkeys([node_id, socket.gethostname(), "localhost", *known, "127.0.0.1", "::1"]))


def still_good(files: CertificateFiles, names: Iterable[str], *, now: datetime) -> bool:
    """Whether there is a certificate with these names that need not be renewed yet."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    has = {*told.get_values_for_type(x509.DNSName), *map(str, told.get_values_for_type(x509.IPAddress))}
    return files.key.exists() and has >= set(names) and certificate.not_valid_after_utc - RENEW_BEFORE > now


def write(files: CertificateFiles, ca: ClusterCA, names: tuple[str, ...], *, now: datetime) -> None:
    """Makes a key and a certificate for `names`. The files are replaced whole."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(ca, key.public_key(), names, now)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(files.key, key_pem)
    durable.write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM) + ca.certificate_pem.encode())


def _sign(ca: ClusterCA, key: ec.EllipticCurvePublicKey, names: tuple[str, ...], now: datetime) -> x509.Certificate:
    issuer = x509.load_pem_x509_certificate(ca.certificate_pem.encode())
    signer = serialization.load_pem_private_key(ca.key_pem.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the cluster CA's key is not an EC key")
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def utc_now() -> datetime:
    return datetime.now(UTC)
