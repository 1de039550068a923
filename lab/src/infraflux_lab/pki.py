"""The lab's own certificate authority and the certificates of its servers."""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509

from infraflux.core.files import write_whole
from infraflux_lab.state import LabPaths

ORGANIZATION = "InfraFlux lab (simulated)"
# Clients with a limit on server certificates draw the line at 825 days or below.
SERVER_DAYS = 397
RENEW_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The CA of one lab."""

    ca: trustme.CA

    @property
    def certificate(self) -> x509.Certificate:
        """Its own certificate."""
        return x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())


def ensure_authority(paths: LabPaths) -> Authority:
    """Load the CA, or make it on first use (`ca.crt`, `ca.key` 0600)."""
    if paths.ca_certificate.exists() and paths.ca_key.exists():
        return Authority(ca=trustme.CA.from_pem(paths.ca_certificate.read_bytes(), paths.ca_key.read_bytes()))
    ca = trustme.CA(path_length=0, organization_name=ORGANIZATION, organization_unit_name="CA")
    write_whole(paths.ca_key, ca.private_key_pem.bytes())
    write_whole(paths.ca_certificate, ca.cert_pem.bytes(), mode=0o644)
    return Authority(ca=ca)


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
    now = datetime.datetime.now(datetime.UTC)
    issued = authority.ca.issue_cert(
        name,
        *addresses,
        common_name=name,
        organization_name=ORGANIZATION,
        organization_unit_name="server",
        # One hour back, for clients whose clock is behind.
        not_before=now - datetime.timedelta(hours=1),
        not_after=now + datetime.timedelta(days=SERVER_DAYS),
    )
    write_whole(key, issued.private_key_pem.bytes())
    write_whole(certificate, issued.cert_chain_pems[0].bytes(), mode=0o644)


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
