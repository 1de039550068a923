"""Certificate authorities as `talosctl gen secrets` puts them into a machine config."""

from datetime import UTC, datetime, timedelta

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from infraflux_lab.certificates import PLAIN_LABEL, TALOS_LABEL, Contents, KeyPair, named, self_signed


def kubernetes_authority(name: str = "kubernetes") -> KeyPair:
    """ECDSA."""
    made = trustme.CA(organization_name=name)
    return KeyPair(certificate=made.cert_pem.bytes(), key=made.private_key_pem.bytes())


def talos_authority(*, now: datetime | None = None, days: int = 30) -> KeyPair:
    """Ed25519 under Talos' own PEM label; trustme makes none of these."""
    now = now or datetime.now(UTC)
    contents = Contents(
        subject=named(organizations=["talos"]),
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=days),
        extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)],
    )
    pair = self_signed(contents, key=ed25519.Ed25519PrivateKey.generate())
    return KeyPair(certificate=pair.certificate, key=pair.key.replace(PLAIN_LABEL, TALOS_LABEL))
