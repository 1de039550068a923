"""Certificates the emulator cuts, all from the keys of the machine config it was given."""

import ssl
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from infraflux_lab.certificates import (
    Contents,
    KeyPair,
    PrivateKey,
    alternatives,
    load_key,
    named,
    self_signed,
    signed,
)

MAINTENANCE_COMMON_NAME = "maintenance-service.talos.dev"
# Go clients and etcd refuse certificates from the future; a lab and its client share a clock, a container may not.
CLOCK_SKEW = timedelta(minutes=5)
SERVER_LIFETIME = timedelta(days=365)
KUBECONFIG_LIFETIME = timedelta(days=365)


def maintenance_certificate(addresses: Sequence[str]) -> KeyPair:
    """Self-signed certificate of the maintenance service."""
    contents = _valid_for(
        SERVER_LIFETIME,
        named(MAINTENANCE_COMMON_NAME),
        (alternatives([*addresses, MAINTENANCE_COMMON_NAME]), False),
    )
    return self_signed(contents, key=ed25519.Ed25519PrivateKey.generate())


def server_certificate(authority: KeyPair, *, addresses: Sequence[str], names: Sequence[str]) -> KeyPair:
    """Certificate of the Talos API of one node, signed by the cluster's OS authority."""
    contents = _valid_for(
        SERVER_LIFETIME,
        named(names[0]),
        (alternatives([*addresses, *names]), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    )
    return _signed_by(authority, contents, key=ed25519.Ed25519PrivateKey.generate())


def client_certificate(
    authority: KeyPair, *, common_name: str, organizations: Sequence[str], lifetime: timedelta
) -> KeyPair:
    """Client certificate for the Kubernetes API (kubeconfig) or the Talos API, signed by the given authority."""
    talos = isinstance(load_key(authority.key), ed25519.Ed25519PrivateKey)
    contents = _valid_for(
        lifetime,
        named(common_name, organizations),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    )
    key = ed25519.Ed25519PrivateKey.generate() if talos else ec.generate_private_key(ec.SECP256R1())
    return _signed_by(authority, contents, key=key)


def expired_authority(authority: KeyPair) -> bytes:
    """The same authority as it looks when its time has run out: every client certificate then counts as expired."""
    now = datetime.now(UTC)
    contents = Contents(
        subject=x509.load_pem_x509_certificate(authority.certificate).subject,
        not_before=now - timedelta(days=2),
        not_after=now - timedelta(days=1),
        extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)],
    )
    return self_signed(contents, key=load_key(authority.key)).certificate


def _valid_for(lifetime: timedelta, subject: x509.Name, *extensions: tuple[x509.ExtensionType, bool]) -> Contents:
    now = datetime.now(UTC)
    return Contents(subject=subject, not_before=now - CLOCK_SKEW, not_after=now + lifetime, extensions=extensions)


def _signed_by(authority: KeyPair, contents: Contents, *, key: PrivateKey) -> KeyPair:
    ca = x509.load_pem_x509_certificate(authority.certificate)
    return signed(contents, key=key, issuer=ca.subject, issuer_key=load_key(authority.key))


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
