"""The names a cluster certificate carries: O is the cluster, CN and a URI SAN are the node."""

from __future__ import annotations

import re

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from hivemind.peer.errors import CertificateInvalid

_NODE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


class CertificateName(msgspec.Struct, frozen=True):
    """Who a certificate speaks for."""

    cluster_id: str
    node_id: str


def is_node_id(text: str) -> bool:
    """Whether ``text`` is a node id: ``[a-z0-9][a-z0-9.-]{0,62}``."""
    return _NODE_ID.fullmatch(text) is not None


def node_uri(name: CertificateName) -> str:
    """The URI SAN of a node's certificate."""
    return f"hivemind://{name.cluster_id}/{name.node_id}"


def certificate_name(certificate: x509.Certificate) -> CertificateName:
    """Read the names of a node's certificate.

    Raises:
        CertificateInvalid: a name is missing, or subject and SAN disagree.
    """
    name = CertificateName(
        cluster_id=_only(certificate, NameOID.ORGANIZATION_NAME, "O"),
        node_id=_only(certificate, NameOID.COMMON_NAME, "CN"),
    )
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise CertificateInvalid("the certificate has no usable subject alternative name") from error
    if san.get_values_for_type(x509.UniformResourceIdentifier) != [node_uri(name)]:
        raise CertificateInvalid(f"the certificate's SAN is not {node_uri(name)}")
    return name


def certificate_name_of_der(der: bytes) -> CertificateName:
    """As :func:`certificate_name`, from DER bytes such as ``getpeercert(binary_form=True)`` gives."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise CertificateInvalid("the certificate cannot be read") from error
    return certificate_name(certificate)


def _only(certificate: x509.Certificate, oid: x509.ObjectIdentifier, label: str) -> str:
    try:
        values = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(oid)]
    except ValueError as error:
        raise CertificateInvalid("the certificate's subject cannot be read") from error
    if len(values) != 1 or not isinstance(values[0], str):
        raise CertificateInvalid(f"the certificate has {len(values)} values for {label}, expected one")
    return values[0]
