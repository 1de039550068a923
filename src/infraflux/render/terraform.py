"""ClusterSpec -> Terraform variables; pure and byte-stable. No secret is ever a variable."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infraflux.config.models import ClusterSpec, Node
from infraflux.config.models.derive import mac_of
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.render.platform import render_platform
from infraflux.render.talos import image_url, schematic_id

GUEST_AGENT = "siderolabs/qemu-guest-agent"


def render_globals(specs: Sequence[ClusterSpec]) -> dict[str, Any]:
    """Variables of `terraform/globals`: what all clusters of one environment need together.

    Raises Permanent (config) where clusters of the environment disagree on what they share.
    """
    first = _agreed(specs)
    return {
        "environment": first.environment,
        "proxmox": _endpoint(first),
        # A pool that the configuration names exists already and belongs to somebody else.
        "pools": {} if first.proxmox.pool else {first.pool_name: f"InfraFlux environment {first.environment}"},
        "hosts": sorted({host.name for spec in specs for host in spec.proxmox.hosts}),
        "images": {image_file(spec): _image(spec) for spec in specs},
    }


def render_cluster(
    spec: ClusterSpec, *, placement: Mapping[str, str] | None = None, adopt: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Variables of `terraform/cluster`.

    `placement`: host by node as Proxmox HA has them now. `adopt`: `<host>/<vm id>` by node, see `adopt.tf`.
    """
    network = spec.network
    return {
        "environment": spec.environment,
        "name": spec.name,
        "proxmox": {
            **_endpoint(spec),
            "hosts": sorted(host.name for host in spec.proxmox.hosts),
            "pool": spec.pool_name,
            "cloud_init_storage": spec.proxmox.storage.cloud_init or spec.proxmox.storage.disks,
            "cpu_type": spec.proxmox.cpu_type,
            "ha": spec.proxmox.ha,
        },
        "network": {
            "bridge": spec.proxmox.bridge.name,
            "vlan": spec.proxmox.bridge.vlan,
            "mtu": network.mtu,
            "prefix_length": network.node_cidr.prefixlen,
            "gateway": str(network.gateway),
            "dns": [str(address) for address in network.dns],
            "domain": network.domain,
        },
        "image": {"volume": image_volume(spec), "agent": GUEST_AGENT in spec.image.schematic.extensions},
        "nodes": {node.name: _node(spec, node) for node in spec.nodes},
        "protection": spec.policy.deletion_protection,
        "placement": dict(placement or {}) if spec.proxmox.ha else {},
        "adopt": dict(adopt or {}),
        "platform": render_platform(spec),
    }


def to_tfvars(variables: Mapping[str, Any]) -> str:
    """The `.tfvars.json` document: equal variables give equal bytes."""
    return json.dumps(variables, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def image_file(spec: ClusterSpec) -> str:
    """File name of the Talos image; it names the content, so one file never changes."""
    return f"talos-{spec.versions.talos}-{schematic_id(spec.image.schematic)[:12]}-nocloud-amd64.raw"


def image_volume(spec: ClusterSpec) -> str:
    """Proxmox volume id of the image on every host: `local:import/talos-v1.13.9-376567988ad3-nocloud-amd64.raw`."""
    return f"{spec.proxmox.storage.images}:import/{image_file(spec)}"


def _agreed(specs: Sequence[ClusterSpec]) -> ClusterSpec:
    first = specs[0]
    for spec in specs[1:]:
        for what, one, other in (
            ("environment", first.environment, spec.environment),
            ("proxmox.endpoint", first.proxmox.endpoint, spec.proxmox.endpoint),
            ("proxmox.insecure", first.proxmox.insecure, spec.proxmox.insecure),
            ("proxmox.pool", first.pool_name, spec.pool_name),
            ("proxmox.storage.images", first.proxmox.storage.images, spec.proxmox.storage.images),
        ):
            if one != other:
                raise Permanent(
                    f"{first.key} and {spec.key} share one environment and differ in {what}: {one} and {other}",
                    error_class=ErrorClass.CONFIG,
                    next_step="set it in the environment's file, not in a cluster's",
                )
    return first


def _endpoint(spec: ClusterSpec) -> dict[str, Any]:
    return {"endpoint": spec.proxmox.endpoint, "insecure": spec.proxmox.insecure}


def _image(spec: ClusterSpec) -> dict[str, Any]:
    return {"url": image_url(spec), "storage": spec.proxmox.storage.images, "sha256": spec.image.sha256}


def _node(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    disks = spec.proxmox.storage.disks
    return {
        "role": node.role.value,
        "host": node.host,
        "vm_id": node.vm_id,
        "mac": node.mac,
        "uuid": node.uuid,
        "address": str(node.address),
        "cores": node.cores,
        **({"cpu_type": node.cpu_type} if node.cpu_type else {}),
        "memory_mib": node.memory_mib,
        "system_disk": {"size_gib": node.system_disk_gib, "storage": node.system_disk_storage or disks},
        "data_disks": [
            {"name": disk.name, "size_gib": disk.size_gib, "storage": disk.storage or disks, "ssd": disk.ssd}
            for disk in node.data_disks
        ],
        "extra_nics": [
            {"bridge": nic.bridge, "vlan": nic.vlan, "mtu": nic.mtu, "mac": mac_of(spec, node, nic)}
            for nic in node.nics
        ],
        "pci_devices": [
            {
                "mapping": device.mapping,
                "pcie": device.pcie,
                "rombar": device.rombar,
                "primary_gpu": device.primary_gpu,
            }
            for device in node.pci_devices
        ],
        "tags": list(node.tags),
    }
