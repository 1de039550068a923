import base64
from collections.abc import Callable
from typing import Any

import pytest
from fakes import authorities

from infraflux_lab.certificates import KeyPair
from infraflux_lab.talos.machine_config import dump


@pytest.fixture(scope="session")
def talos_authority() -> KeyPair:
    """As `talosctl gen secrets` makes it: Ed25519 under Talos' own PEM label."""
    return authorities.talos_authority()


@pytest.fixture(scope="session")
def kubernetes_authority() -> KeyPair:
    return authorities.kubernetes_authority()


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
                "network": {"interfaces": [{"interface": "eth0", "vip": {"ip": "10.0.0.10"}}]},
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
