"""The lab's own certificate authority and the certificates of its servers."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infraflux.core.files import write_whole
from infraflux_lab.state import LabPaths

CA_DAYS = 3650
# Clients with a limit on server certificates draw the line at 825 days or below.
SERVER_DAYS = 397
RENEW_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The CA of one lab."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_authority(paths: LabPaths) -> Authority:
    """Load the CA, or make it on first use (`ca.crt`, `ca.key` 0600)."""
    if paths.ca_certificate.exists() and paths.ca_key.exists():
        certificate = x509.load_pem_x509_certificate(paths.ca_certificate.read_bytes())
        return Authority(certificate=certificate, key=_load_key(paths.ca_key))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "InfraFlux lab (simulated) CA")])
    certificate = (
        _builder(subject=name, issuer=name, key=key, days=CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_ca_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_whole(paths.ca_key, _key_pem(key))
    write_whole(paths.ca_certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return Authority(certificate=certificate, key=key)


def server_context(authority: Authority, paths: LabPaths, *, name: str, addresses: Sequence[str]) -> ssl.SSLContext:
    """TLS context with a certificate for these addresses, made or renewed as needed."""
    certificate, key = paths.certificates / f"{name}.crt", paths.certificates / f"{name}.key"
    if not _usable(certificate, key, authority=authority, addresses=addresses):
        _issue(authority, certificate=certificate, key=key, name=name, addresses=addresses)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _issue(authority: Authority, *, certificate: Path, key: Path, name: str, addresses: Sequence[str]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)]
    )
    signed = (
        _builder(subject=subject, issuer=authority.certificate.subject, key=private, days=SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    write_whole(key, _key_pem(private))
    write_whole(certificate, signed.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _usable(certificate: Path, key: Path, *, authority: Authority, addresses: Sequence[str]) -> bool:
    if not (certificate.exists() and key.exists()):
        return False
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        loaded.verify_directly_issued_by(authority.certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one is made
        return False
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    left = loaded.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return set(addresses) <= known and left > datetime.timedelta(days=RENEW_DAYS)


def _builder(
    *, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # One hour back, for clients whose clock is behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
