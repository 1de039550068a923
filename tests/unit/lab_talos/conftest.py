import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from infraflux_lab.talos.machine_config import dump
from infraflux_lab.talos.pki import KeyPair


def _authority(name: str, *, talos: bool) -> KeyPair:
    key: Any = ed25519.Ed25519PrivateKey.generate() if talos else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None if talos else hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    if talos:
        pem = pem.replace(b"PRIVATE KEY", b"ED25519 PRIVATE KEY")
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=pem)


@pytest.fixture(scope="session")
def talos_authority() -> KeyPair:
    """As `talosctl gen secrets` makes it: Ed25519 under Talos' own PEM label."""
    return _authority("talos", talos=True)


@pytest.fixture(scope="session")
def kubernetes_authority() -> KeyPair:
    return _authority("kubernetes", talos=False)


def _section(pair: KeyPair, *, key: bool = True) -> dict[str, str]:
    crt = base64.b64encode(pair.certificate).decode()
    return {"crt": crt, "key": base64.b64encode(pair.key).decode() if key else ""}


Documents = list[dict[str, Any]]


@pytest.fixture
def control_plane(talos_authority: KeyPair, kubernetes_authority: KeyPair) -> Documents:
    """Documents of a valid control plane configuration."""
    return [
        {
            "version": "v1alpha1",
            "debug": False,
            "machine": {
                "type": "controlplane",
                "token": "abc.def",
                "ca": _section(talos_authority),
                "kubelet": {"image": "ghcr.io/siderolabs/kubelet:v1.36.3"},
                "install": {"disk": "/dev/sda", "image": "factory.talos.dev/nocloud-installer/x:v1.13.9"},
                "network": {"interfaces": [{"interface": "ens18", "vip": {"ip": "10.0.0.10"}}]},
                "features": {"kubePrism": {"enabled": True}, "diskQuotaSupport": True},
            },
            "cluster": {
                "id": "cluster-id",
                "clusterName": "dev-1",
                "controlPlane": {"endpoint": "https://10.0.0.10:6443"},
                "ca": _section(kubernetes_authority),
                "aggregatorCA": _section(kubernetes_authority),
                "serviceAccount": {"key": base64.b64encode(b"not read here").decode()},
                "etcd": {"ca": _section(kubernetes_authority)},
            },
        },
        {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": "stable"},
    ]


@pytest.fixture
def worker(control_plane: Documents, talos_authority: KeyPair, kubernetes_authority: KeyPair) -> Documents:
    machine, cluster = control_plane[0]["machine"], control_plane[0]["cluster"]
    machine.update(type="worker", ca=_section(talos_authority, key=False), network={})
    for name in ("aggregatorCA", "serviceAccount", "etcd"):
        cluster.pop(name)
    cluster["ca"] = _section(kubernetes_authority, key=False)
    return control_plane


@pytest.fixture
def text() -> Callable[[Documents], bytes]:
    return dump
