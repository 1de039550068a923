import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fakes.authorities import kubernetes_authority


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _authority(name: str) -> dict[str, str]:
    pair = kubernetes_authority(name)
    return {"crt": _encoded(pair.certificate), "key": _encoded(pair.key)}


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
