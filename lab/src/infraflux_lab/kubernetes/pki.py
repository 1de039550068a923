"""Leaf certificates cut from the certificate authorities of a machine config, as Talos does at boot."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infraflux_lab.kubernetes.settings import KeyPair

SigningKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

LEAF_LIFETIME = dt.timedelta(days=365)
# Clocks of laptops drift, and a client may look at a certificate in the second it was made.
BACKDATE = dt.timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """Who a certificate is for. `sans` may mix names and addresses."""

    common_name: str
    organization: str | None = None
    sans: Sequence[str] = ()
    server: bool = False
    client: bool = True


class Authority:
    """A certificate authority that issues ECDSA P-256 leaves."""

    def __init__(self, pair: KeyPair) -> None:
        """`pair` is PEM as found in a machine config; Ed25519 keys may carry Talos' own PEM label."""
        self._pair = pair

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        return x509.load_pem_x509_certificate(self._pair.certificate)

    @cached_property
    def _key(self) -> SigningKey:
        pem = self._pair.key.replace(b"ED25519 PRIVATE KEY", b"PRIVATE KEY")
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
            raise TypeError(f"a key of type {type(key).__name__} does not sign certificates in Talos")
        return key

    def issue(self, leaf: Leaf, *, now: dt.datetime) -> KeyPair:
        """Sign `leaf` for LEAF_LIFETIME; the key is PKCS#8."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(leaf))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(min(now + LEAF_LIFETIME, self.certificate.not_valid_after_utc))
        )
        for extension, critical in self._extensions(leaf):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self._key, _digest(self._key))
        return KeyPair(
            certificate=certificate.public_bytes(serialization.Encoding.PEM),
            key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _extensions(self, leaf: Leaf) -> list[tuple[x509.ExtensionType, bool]]:
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_KEY_USAGE, True),
            (x509.ExtendedKeyUsage(_purposes(leaf)), False),
            (_authority_key_identifier(self.certificate), False),
        ]
        if leaf.sans:
            extensions.append((x509.SubjectAlternativeName(_general_names(leaf.sans)), False))
        return extensions


def public_key_pem(private_key: bytes) -> bytes:
    """The public half of a PEM private key: the API server verifies service account tokens with it."""
    key = serialization.load_pem_private_key(private_key, password=None)
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _authority_key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """What the authority calls its key: Talos does not use the SHA-1 of RFC 5280, and OpenSSL compares the two."""
    try:
        named = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _subject(leaf: Leaf) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    return x509.Name(attributes)


def _purposes(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.server else []
    return server + ([ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else [])


def _general_names(sans: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(san) for san in dict.fromkeys(sans)]


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        return x509.DNSName(san)


def _digest(key: SigningKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
