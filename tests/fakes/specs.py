"""Cluster specs for tests: the smallest complete one, changed by keyword."""

from typing import Any

from infraflux.config.models import ClusterSpec


def make_spec(*, control_planes: int = 1, workers: int = 1, **changes: Any) -> ClusterSpec:
    """A `dev/dev-1` of this size; `changes` replace whole top-level sections."""
    pool = {"cores": 2, "memory_mib": 4096, "system_disk_gib": 20}
    document: dict[str, Any] = {
        "environment": "dev",
        "name": "dev-1",
        "size": "small",
        "cluster_id": 1,
        "vm_id_start": 10000,
        "versions": {"talos": "v1.13.9", "kubernetes": "v1.36.3"},
        "proxmox": {
            "endpoint": "https://10.0.0.2:8006",
            "token": {"id": "infraflux@pve!dev", "secret": "env:PROXMOX_TOKEN"},
            "hosts": [{"name": "pve-1"}, {"name": "pve-2"}],
            "storage": {"disks": "local-lvm", "images": "local"},
            "bridge": {"name": "vmbr0"},
        },
        "network": {
            "node_cidr": "10.0.0.0/24",
            "gateway": "10.0.0.1",
            "vip": "10.0.0.10",
            "dns": ["10.0.0.1"],
            "ntp": ["time.example.org"],
            "pod_cidr": "10.1.0.0/16",
            "service_cidr": "10.101.0.0/16",
            "domain": "dev-1.example.org",
            "load_balancer": {"pools": [{"name": "main", "addresses": "10.0.0.200-10.0.0.219"}]},
        },
        "node_pools": [
            {
                "name": "cp",
                "role": "control-plane",
                "count": control_planes,
                "addresses": "10.0.0.11-10.0.0.20",
                **pool,
            },
            {"name": "worker", "role": "worker", "count": workers, "addresses": "10.0.0.21-10.0.0.40", **pool},
        ],
        "secrets": {"identity": "env:AGE_IDENTITY"},
        "platform": {"components": [{"name": "cilium", "version": "1.18.3"}]},
        "gitops": {
            "platform": {"url": "https://git.example.org/platform.git"},
            "application": {"url": "https://git.example.org/apps.git"},
        },
    }
    return ClusterSpec.model_validate(document | changes)
