"""Certificates the emulator cuts, all from the keys of the machine config it was given.

Talos writes its Ed25519 keys under a PEM label of its own (`ED25519 PRIVATE KEY`); the content is plain PKCS#8.
"""

import ssl
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAINTENANCE_COMMON_NAME = "maintenance-service.talos.dev"
# Go clients and etcd refuse certificates from the future; a lab and its client share a clock, a container may not.
CLOCK_SKEW = timedelta(minutes=5)
SERVER_LIFETIME = timedelta(days=365)
KUBECONFIG_LIFETIME = timedelta(days=365)

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(...)"


def load_key(pem: bytes) -> PrivateKey:
    """Read a private key, whether under Talos' label or a standard one; ValueError if it is none."""
    relabelled = pem.replace(b"ED25519 PRIVATE KEY", b"PRIVATE KEY")
    key = serialization.load_pem_private_key(relabelled, password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"unsupported private key type {type(key).__name__}")
    return key


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _digest(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _names(addresses: Iterable[str], names: Iterable[str]) -> x509.SubjectAlternativeName:
    ips = [x509.IPAddress(ip_address(address)) for address in dict.fromkeys(addresses)]
    return x509.SubjectAlternativeName([*ips, *(x509.DNSName(name) for name in dict.fromkeys(names))])


def _builder(subject: x509.Name, *, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def maintenance_certificate(addresses: Sequence[str]) -> KeyPair:
    """Self-signed certificate of the maintenance service."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, MAINTENANCE_COMMON_NAME)])
    certificate = (
        _builder(name, lifetime=SERVER_LIFETIME)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(_names(addresses, [MAINTENANCE_COMMON_NAME]), critical=False)
        .sign(key, None)
    )
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def server_certificate(authority: KeyPair, *, addresses: Sequence[str], names: Sequence[str]) -> KeyPair:
    """Certificate of the Talos API of one node, signed by the cluster's OS authority."""
    ca = x509.load_pem_x509_certificate(authority.certificate)
    ca_key = load_key(authority.key)
    key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        _builder(subject, lifetime=SERVER_LIFETIME)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .add_extension(_names(addresses, names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, _digest(ca_key))
    )
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def client_certificate(
    authority: KeyPair, *, common_name: str, organizations: Sequence[str], lifetime: timedelta
) -> KeyPair:
    """Client certificate for the Kubernetes API (kubeconfig) or the Talos API, signed by the given authority."""
    ca = x509.load_pem_x509_certificate(authority.certificate)
    ca_key = load_key(authority.key)
    key: PrivateKey
    key = (
        ed25519.Ed25519PrivateKey.generate()
        if isinstance(ca_key, ed25519.Ed25519PrivateKey)
        else ec.generate_private_key(ec.SECP256R1())
    )
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    if common_name:
        names.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    subject = x509.Name(names)
    certificate = (
        _builder(subject, lifetime=lifetime)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca_key, _digest(ca_key))
    )
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))


def expired_authority(authority: KeyPair) -> bytes:
    """The same authority as it looks when its time has run out: every client certificate then counts as expired."""
    ca = x509.load_pem_x509_certificate(authority.certificate)
    ca_key = load_key(authority.key)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(ca.subject)
        .issuer_name(ca.subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .public_key(ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, _digest(ca_key))
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def server_context(pair: KeyPair, *, client_authority: bytes | None) -> ssl.SSLContext:
    """TLS as Talos serves it: 1.3, HTTP/2, a client certificate required if there is an authority to check it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # grpc-go refuses a server that does not negotiate HTTP/2.
    context.set_alpn_protocols(["h2"])
    # The ssl module loads key pairs from files only.
    with tempfile.TemporaryDirectory(prefix="infraflux-talos-") as directory:
        path = Path(directory) / "pair.pem"
        path.touch(mode=0o600)
        path.write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(path)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_authority.decode())
    return context


def roles_of(subject: Iterable[Iterable[tuple[str, str]]]) -> frozenset[str]:
    """Talos roles (`os:admin`, `os:reader`, ...) in the organizations of a peer certificate's subject."""
    return frozenset(
        value for rdn in subject for name, value in rdn if name == "organizationName" and value.startswith("os:")
    )
