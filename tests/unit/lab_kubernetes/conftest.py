import base64
import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _authority(name: str) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return {"crt": _encoded(certificate.public_bytes(serialization.Encoding.PEM)), "key": _encoded(pem)}


@pytest.fixture(scope="session")
def authorities() -> dict[str, dict[str, str]]:
    return {name: _authority(name) for name in ("kubernetes", "front-proxy", "etcd")}


@pytest.fixture(scope="session")
def service_account_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _encoded(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


@pytest.fixture
def config(authorities: dict[str, dict[str, str]], service_account_key: str) -> dict[str, Any]:
    """A control plane's v1alpha1 document with what `talosctl gen config` writes."""
    return {
        "version": "v1alpha1",
        "machine": {"type": "controlplane", "token": "aaaaaa.bbbbbbbbbbbbbbbb"},
        "cluster": {
            "id": "q1w2e3==",
            "clusterName": "dev-1",
            "controlPlane": {"endpoint": "https://127.78.1.10:6443"},
            "network": {"dnsDomain": "cluster.local", "podSubnets": ["10.1.0.0/16"], "serviceSubnets": ["10.2.0.0/16"]},
            "token": "abcdef.0123456789abcdef",
            "secretboxEncryptionSecret": "Y2FuYXJ5LXNlY3JldC1ib3gta2V5LTMyLWJ5dGVzISE=",
            "ca": authorities["kubernetes"],
            "aggregatorCA": authorities["front-proxy"],
            "serviceAccount": {"key": service_account_key},
            "etcd": {"ca": authorities["etcd"]},
            "apiServer": {"image": "registry.k8s.io/kube-apiserver:v1.36.3", "certSANs": ["k8s.example.org"]},
        },
    }
