"""A cluster of three control planes and three workers on three hosts, to be varied by each test."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from infraflux.config.models import ClusterSpec

SpecWith = Callable[..., ClusterSpec]

BASE: dict[str, Any] = {
    "environment": "dev",
    "name": "dev-1",
    "size": "medium",
    "cluster_id": 1,
    "vm_id_start": 10000,
    "versions": {"talos": "v1.13.9", "kubernetes": "v1.36.3"},
    "proxmox": {
        "endpoint": "https://127.78.1.2:8006",
        "token": {"id": "infraflux@pve!dev", "secret": "env:TEST_TOKEN"},
        "hosts": [{"name": "pve1"}, {"name": "pve2"}, {"name": "pve3"}],
        "storage": {"disks": "local-lvm", "images": "local"},
        "bridge": {"name": "vmbr0"},
    },
    "network": {
        "node_cidr": "127.78.1.0/24",
        "gateway": "127.78.1.1",
        "vip": "127.78.1.10",
        "dns": ["127.78.1.1"],
        "ntp": ["127.78.1.1"],
        "pod_cidr": "10.11.0.0/16",
        "service_cidr": "10.111.0.0/16",
        "domain": "dev-1.example.org",
        "load_balancer": {"pools": [{"name": "default", "addresses": "127.78.1.200-127.78.1.219"}]},
    },
    "node_pools": [
        {
            "name": "cp",
            "role": "control-plane",
            "count": 3,
            "addresses": "127.78.1.11-127.78.1.20",
            "cores": 2,
            "memory_mib": 4096,
            "system_disk_gib": 20,
        },
        {
            "name": "worker",
            "role": "worker",
            "count": 3,
            "addresses": "127.78.1.21-127.78.1.40",
            "cores": 4,
            "memory_mib": 8192,
            "system_disk_gib": 40,
            "data_disks": [{"name": "data", "size_gib": 50}],
        },
    ],
    "secrets": {"identity": "env:TEST_AGE_IDENTITY"},
    "platform": {"components": [{"name": "cilium", "version": "1.20.2"}]},
    "gitops": {
        "platform": {"url": "https://git.example.org/platform.git"},
        "application": {"url": "https://git.example.org/apps.git"},
    },
}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


@pytest.fixture
def spec_with() -> SpecWith:
    """`spec_with(proxmox={"ha": True})`: the base cluster with these changes merged in."""
    return lambda **changes: ClusterSpec.model_validate(merged(BASE, changes))
