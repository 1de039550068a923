"""Certificates that trustme cannot write.

trustme signs with RSA and ECDSA, puts a name of its own into every subject and lets a certificate be client and server
at once. Machine configs hold Ed25519 authorities, Kubernetes and Talos read a client's rights from the organizations of
its subject, and components are told apart by what their certificate is for. `infraflux_lab.pki` uses trustme for the
rest.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
# Talos writes its Ed25519 keys under a PEM label of its own; the content is plain PKCS#8
# (siderolabs/crypto x509/constants.go, PEMTypeEd25519Private).
TALOS_LABEL, PLAIN_LABEL = b"ED25519 PRIVATE KEY", b"PRIVATE KEY"


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate with its private key, both PEM; `repr` never shows the key."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(***)"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a certificate says, besides its key."""

    subject: x509.Name
    not_before: datetime
    not_after: datetime
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()
    """Each with whether it is critical."""


def load_key(pem: bytes) -> PrivateKey:
    """Read a private key, whether under Talos' label or a standard one; ValueError if it is none."""
    key = serialization.load_pem_private_key(pem.replace(TALOS_LABEL, PLAIN_LABEL), password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"unsupported private key type {type(key).__name__}")
    return key


def signed(contents: Contents, *, key: PrivateKey, issuer: x509.Name, issuer_key: PrivateKey) -> KeyPair:
    """The certificate for `key`, with the key as PKCS#8."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(contents.subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(contents.not_before)
        .not_valid_after(contents.not_after)
    )
    for extension, critical in contents.extensions:
        builder = builder.add_extension(extension, critical=critical)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(issuer_key, digest)
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def self_signed(contents: Contents, *, key: PrivateKey) -> KeyPair:
    """The same, where the key vouches for itself: an authority, or a server that nobody vouches for."""
    return signed(contents, key=key, issuer=contents.subject, issuer_key=key)


def named(common_name: str = "", organizations: Iterable[str] = ()) -> x509.Name:
    """A subject: organizations first, as Go's crypto/x509 writes them."""
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    if common_name:
        names.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(names)


def alternatives(names: Iterable[str]) -> x509.SubjectAlternativeName:
    """Host names and addresses, each once, in their order."""
    return x509.SubjectAlternativeName([_general_name(one) for one in dict.fromkeys(names)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
