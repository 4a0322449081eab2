"""What a node is: its names, key, certificate and the cluster's shared keys, kept in one file.

One file, because key and certificate must change together: ``<data-dir>/identity/identity.json``.
"""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import msgspec
from cryptography import x509

from consensus import durable
from hivemind.peer.ca import load_certificate, load_key
from hivemind.peer.errors import CertificateInvalid, IdentityBroken, IdentityMissing
from hivemind.peer.names import CertificateName, certificate_name

FOLDER = "identity"
FILE = "identity.json"


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node's identity. Its ``repr`` shows no key."""

    node_id: str
    cluster_id: str
    key_pem: str
    certificate_pem: str
    ca_pems: tuple[str, ...]
    """The CA certificates that are trusted: one, or two while the CA is rotated."""
    member_key: bytes
    """32 bytes; opens what is sealed in the replicated state."""
    keyring: bytes
    """The gossip keyring, as membership encodes it."""

    def __repr__(self) -> str:
        return f"Identity(node_id={self.node_id!r}, cluster_id={self.cluster_id!r})"

    @property
    def certificate(self) -> x509.Certificate:
        return load_certificate(self.certificate_pem)

    def check(self) -> None:
        """Check that the parts belong together; an expired certificate is none of its business.

        Raises:
            IdentityBroken: says which part does not fit.
        """
        try:
            certificate = self.certificate
            name = certificate_name(certificate)
            fits = load_key(self.key_pem).public_key() == certificate.public_key()
            for pem in self.ca_pems:
                load_certificate(pem)
        except CertificateInvalid as error:
            raise IdentityBroken(f"identity of {self.node_id}: {error}") from error
        if not fits:
            raise IdentityBroken(f"identity of {self.node_id}: the key does not belong to the certificate")
        if name != CertificateName(cluster_id=self.cluster_id, node_id=self.node_id):
            raise IdentityBroken(
                f"identity of {self.node_id} in {self.cluster_id}: "
                f"the certificate is for {name.node_id} in {name.cluster_id}"
            )
        if not self.ca_pems:
            raise IdentityBroken(f"identity of {self.node_id}: no CA certificate")
        if len(self.member_key) != 32:
            raise IdentityBroken(f"identity of {self.node_id}: the member key is not 32 bytes")

    @classmethod
    def load(cls, data_dir: Path) -> Identity:
        """Read and check the identity under ``data_dir``.

        Raises:
            IdentityMissing: there is none.
            IdentityBroken: it cannot be read, or its parts do not fit.
        """
        path = data_dir / FOLDER / FILE
        try:
            raw = path.read_bytes()
        except FileNotFoundError as error:
            raise IdentityMissing(f"no identity in {path}") from error
        except OSError as error:
            raise IdentityBroken(f"{path} cannot be read: {error.strerror}") from error
        try:
            identity = msgspec.json.decode(raw, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise IdentityBroken(f"{path} is damaged: {error}") from error
        identity.check()
        return identity

    def save(self, data_dir: Path) -> None:
        """Write the identity atomically: afterwards either the old or this one is on disk."""
        self.check()
        folder = data_dir / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        durable.write(folder / FILE, msgspec.json.format(msgspec.json.encode(self), indent=1))
        durable.sync_directory(data_dir)

    def renew_due(self, now_s: float) -> bool:
        """Whether two thirds of the certificate's lifetime are over (also when all of it is)."""
        certificate = self.certificate
        start_s = certificate.not_valid_before_utc.timestamp()
        end_s = certificate.not_valid_after_utc.timestamp()
        return now_s >= start_s + (end_s - start_s) * 2 / 3

    def expired(self, now_s: float) -> bool:
        """Whether the certificate is over: the node must join again with a token."""
        return now_s > self.certificate.not_valid_after_utc.timestamp()

    def server_context(self) -> ssl.SSLContext:
        """For accepting. A certificate is optional here: without one, only joining is served."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.num_tickets = 0
        return context

    def client_context(self) -> ssl.SSLContext:
        """For dialling. The names are checked after the handshake, by :mod:`hivemind.peer.hello`."""
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata="\n".join(self.ca_pems))
        # ssl reads keys from files only; this one has mode 0600 and is gone at once.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(f"{self.key_pem}\n{self.certificate_pem}".encode())
            file.flush()
            context.load_cert_chain(file.name)
        return context
