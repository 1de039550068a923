"""Leaf certificates cut from the certificate authorities of a machine config, as Talos does at boot."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from infraflux_lab.certificates import Contents, KeyPair, PrivateKey, alternatives, load_key, named, signed

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
    def _key(self) -> PrivateKey:
        return load_key(self._pair.key)

    def issue(self, leaf: Leaf, *, now: dt.datetime) -> KeyPair:
        """Sign `leaf` for LEAF_LIFETIME; the key is PKCS#8."""
        contents = Contents(
            subject=named(leaf.common_name, [leaf.organization] if leaf.organization else []),
            not_before=now - BACKDATE,
            not_after=min(now + LEAF_LIFETIME, self.certificate.not_valid_after_utc),
            extensions=self._extensions(leaf),
        )
        key = ec.generate_private_key(ec.SECP256R1())
        return signed(contents, key=key, issuer=self.certificate.subject, issuer_key=self._key)

    def _extensions(self, leaf: Leaf) -> list[tuple[x509.ExtensionType, bool]]:
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_KEY_USAGE, True),
            (x509.ExtendedKeyUsage(_purposes(leaf)), False),
            (_authority_key_identifier(self.certificate), False),
        ]
        if leaf.sans:
            extensions.append((alternatives(leaf.sans), False))
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


def _purposes(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.server else []
    return server + ([ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else [])
