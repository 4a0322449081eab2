"""The cluster's certificate authority, and the keys and requests of its nodes.

Keys are EC P-256: every TLS 1.3 stack has it, and a signature costs about 0.1 ms.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from hivemind.peer.errors import CertificateInvalid
from hivemind.peer.names import CertificateName, is_node_id, node_uri

CERTIFICATE_LIFETIME_S = 90 * 86_400
CA_LIFETIME_S = 20 * 365 * 86_400
CLOCK_SKEW_S = 3_600
"""How far a new certificate's validity begins in the past, so that a node whose clock is behind takes it."""

_SIGNATURE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_CERT_SIGN = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class ClusterCA:
    """A CA certificate with its private key; signs node certificates of one cluster."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def make(cls, cluster_id: str, *, now_s: float) -> ClusterCA:
        """Make a new CA for the cluster. ``now_s``: seconds since the epoch."""
        if not 0 < len(cluster_id) <= 64:
            raise CertificateInvalid("a cluster id has 1 to 64 characters (X.509's limit for O)")
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
                x509.NameAttribute(NameOID.COMMON_NAME, "hivemind cluster ca"),
            ]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_utc(now_s - CLOCK_SKEW_S))
            .not_valid_after(_utc(now_s + CA_LIFETIME_S))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_CERT_SIGN, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, certificate_pem: str, key_pem: str) -> ClusterCA:
        """Read a CA from PEM. Raises CertificateInvalid if the two do not belong together."""
        certificate = load_certificate(certificate_pem)
        key = load_key(key_pem)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise CertificateInvalid("the CA's key does not belong to its certificate")
        return cls(certificate, key)

    @classmethod
    def unseal(cls, certificate_pem: str, sealed_key: bytes, member_key: bytes) -> ClusterCA:
        """Open what :meth:`seal_key` made. Raises CertificateInvalid if the member key does not fit."""
        try:
            key_pem = SecretBox(member_key).decrypt(sealed_key)
        except (CryptoError, ValueError) as error:
            raise CertificateInvalid("the CA key cannot be opened with this member key") from error
        return cls.load(certificate_pem, key_pem.decode())

    @property
    def certificate_pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return dump_key(self._key)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self._certificate)

    @property
    def cluster_id(self) -> str:
        return str(self._certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)

    def seal_key(self, member_key: bytes) -> bytes:
        """The CA key under the 32-byte member key (NaCl SecretBox), fit for the replicated state."""
        return bytes(SecretBox(member_key).encrypt(self.key_pem.encode()))

    def sign(self, csr_pem: str, node_id: str, *, now_s: float, lifetime_s: float = CERTIFICATE_LIFETIME_S) -> str:
        """Sign a node's request and return the certificate as PEM.

        Only the public key is taken from the request: the names are ours to give.

        Raises:
            CertificateInvalid: the node id or the request is not acceptable.
        """
        if not is_node_id(node_id):
            raise CertificateInvalid(f"not a node id: {node_id!r}")
        public_key = _requested_key(csr_pem)
        name = CertificateName(cluster_id=self.cluster_id, node_id=node_id)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(name))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_utc(now_s - CLOCK_SKEW_S))
            .not_valid_after(_utc(now_s + lifetime_s))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_SIGNATURE, critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(node_uri(name))]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_key() -> str:
    """A new private key for a node, as PEM."""
    return dump_key(ec.generate_private_key(ec.SECP256R1()))


def make_csr(key_pem: str, node_id: str) -> str:
    """A certificate request for the key, as PEM."""
    key = load_key(key_pem)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM).decode()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER, in lowercase base32 without padding: 52 characters."""
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()


def load_certificate(pem: str) -> x509.Certificate:
    """Read one PEM certificate. Raises CertificateInvalid."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise CertificateInvalid("not a PEM certificate") from error


def load_key(pem: str) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    """Read a private key. Raises CertificateInvalid if it is none of ours."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateInvalid("not a PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise CertificateInvalid("the key is neither EC nor Ed25519")
    return key


def dump_key(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """The private key as unencrypted PKCS #8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def check_issued_by(leaf: x509.Certificate, ca: x509.Certificate, *, now_s: float) -> None:
    """Check a leaf's signature by ``ca`` and the validity of both. Raises CertificateInvalid."""
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise CertificateInvalid("the certificate was not issued by this cluster's CA") from error
    now = _utc(now_s)
    for label, certificate in (("certificate", leaf), ("CA certificate", ca)):
        if now > certificate.not_valid_after_utc:
            raise CertificateInvalid(f"the {label} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        if now < certificate.not_valid_before_utc:
            raise CertificateInvalid(
                f"the {label} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}: check the clocks"
            )


def _requested_key(csr_pem: str) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        if not request.is_signature_valid:
            raise CertificateInvalid("the certificate request's signature is wrong")
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateInvalid("not a PEM certificate request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise CertificateInvalid("the requested key is neither EC nor Ed25519")
    return key


def _subject(name: CertificateName) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, name.cluster_id),
            x509.NameAttribute(NameOID.COMMON_NAME, name.node_id),
        ]
    )


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))
