"""ClusterSpec -> Talos machine-config patches; pure and byte-stable.

`talosctl gen config` makes the base documents; these patches are what the configuration adds, in the order all, role,
node. Field names: https://www.talos.dev/v1.13/reference/configuration/ (v1alpha1 and HostnameConfig).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.config.models.derive import mac_of
from infraflux.config.models.nodes import DataDisk, DiskEncryption, ExtraNic
from infraflux.config.models.talos import Patch, Schematic
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.render.block_yaml import dump

LONGHORN_MOUNT = {
    "destination": "/var/lib/longhorn",
    "type": "bind",
    "source": "/var/lib/longhorn",
    "options": ["bind", "rshared", "rw"],
}
"""Talos' kubelet runs in a container: Longhorn's data path must be in it too, and pass mounts on to the host.
https://longhorn.io/docs/1.11.1/advanced-resources/os-distro-specific/talos-linux-support/"""


NO_LOAD_BALANCER = "node.kubernetes.io/exclude-from-external-load-balancers"
"""https://kubernetes.io/docs/reference/labels-annotations-taints/; Talos v1.13.9, pkg/machinery/config/contract.go
(AddExcludeFromExternalLoadBalancer)"""
SECOND_METRIC = 2048
"""Above Talos' default of 1024, so that the first card's route is taken: nethelpers, DefaultRouteMetric."""
SERIAL_LENGTH = 20
"""What QEMU takes of a serial, and Terraform gives it."""
KUBERNETES_NODE_MASK = 24
"""What kube-controller-manager cuts where it is told nothing; only another one is written, so that configs stay."""


@dataclass(frozen=True)
class PatchSet:
    """Patches of one cluster as YAML documents by scope; `node` by node name."""

    all: tuple[str, ...]
    control_plane: tuple[str, ...]
    worker: tuple[str, ...]
    node: Mapping[str, tuple[str, ...]]

    def for_role(self, role: Role) -> tuple[str, ...]:
        return self.control_plane if role is Role.CONTROL_PLANE else self.worker


def render_patches(spec: ClusterSpec, *, root: Path) -> PatchSet:
    """All patches of a cluster; `root` is where patch files of the configuration are read from."""
    patches = spec.talos.patches
    return PatchSet(
        all=(dump(_all_nodes(spec)), *_own(patches.all, root)),
        control_plane=(dump(_control_plane(spec)), *_own(patches.control_plane, root)),
        worker=_own(patches.worker, root),
        node={node.name: _node_patches(spec, node, root) for node in spec.nodes},
    )


def _node_patches(spec: ClusterSpec, node: Node, root: Path) -> tuple[str, ...]:
    own = [patch for patch in spec.talos.patches.node if patch.node == node.name]
    hostname = {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": "off", "hostname": node.name}
    return (dump(_node(spec, node)), dump(hostname), *map(dump, volumes(node)), *_own(own, root))


def _all_nodes(spec: ClusterSpec) -> dict[str, Any]:
    network = spec.network
    # The kubelet must not pick a VIP or a second card's address as the node's address.
    kubelet: dict[str, Any] = {"nodeIP": {"validSubnets": [str(network.node_cidr)]}}
    if spec.platform.runs("longhorn"):
        kubelet["extraMounts"] = [LONGHORN_MOUNT]
    return {
        "machine": {
            "install": {"disk": spec.talos.install_disk, "image": installer_image(spec), "wipe": False},
            "network": {"nameservers": [str(address) for address in network.dns]},
            "time": {"servers": list(network.ntp)},
            "kubelet": kubelet,
        },
        "cluster": {
            "network": {
                "cni": {"name": "none"},  # Cilium is installed by InfraFlux right after the bootstrap
                "dnsDomain": network.cluster_domain,
                "podSubnets": [str(network.pod_cidr)],
                "serviceSubnets": [str(network.service_cidr)],
            },
            "proxy": {"disabled": True},  # Cilium replaces kube-proxy
        },
    }


def _control_plane(spec: ClusterSpec) -> dict[str, Any]:
    names = [str(spec.network.vip), spec.network.domain, *(str(node.address) for node in spec.control_planes)]
    cluster: dict[str, Any] = {
        "apiServer": {"certSANs": names},
        "etcd": {"advertisedSubnets": [str(spec.network.node_cidr)]},
        "allowSchedulingOnControlPlanes": spec.control_planes_take_workloads,
    }
    if (mask := spec.network.node_cidr_mask_size) != KUBERNETES_NODE_MASK:
        cluster["controllerManager"] = {"extraArgs": {"node-cidr-mask-size": str(mask)}}
    if spec.platform.gateway.manifests:
        cluster["extraManifests"] = list(spec.platform.gateway.manifests)
    machine: dict[str, Any] = {"certSANs": names}
    if not spec.has_workers:
        # Talos labels control planes so that no load balancer sends anything to them: here there is nobody else.
        machine["nodeLabels"] = {NO_LOAD_BALANCER: {"$patch": "delete"}}
    return {"machine": machine, "cluster": cluster}


def _node(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    interface: dict[str, Any] = {
        "deviceSelector": {"hardwareAddr": node.mac},
        "addresses": [f"{node.address}/{spec.network.node_cidr.prefixlen}"],
        "routes": [{"network": "0.0.0.0/0", "gateway": str(spec.network.gateway)}],
        "mtu": spec.network.mtu,
        "dhcp": False,
    }
    if node.role is Role.CONTROL_PLANE:
        interface["vip"] = {"ip": str(spec.network.vip)}
    others = [_further_card(spec, node, nic) for nic in node.nics]
    machine: dict[str, Any] = {"network": {"interfaces": [interface, *others]}}
    # One label that the API server refuses a kubelet, and Talos gets none of them onto the node.
    restricted = node.restricted_labels
    labels = {key: value for key, value in sorted(node.labels.items()) if key not in restricted}
    if labels:
        machine["nodeLabels"] = labels
    if node.taints and node.role is Role.CONTROL_PLANE:
        machine["nodeTaints"] = {taint.key: f"{taint.value}:{taint.effect}" for taint in node.taints}
    elif node.taints:
        # A worker may choose its taints when it registers, and never again: nodeTaints would fail for ever.
        taints = [taint.model_dump(mode="json") for taint in node.taints]
        machine["kubelet"] = {"extraConfig": {"registerWithTaints": taints}}
    return {"machine": machine}


def _further_card(spec: ClusterSpec, node: Node, nic: ExtraNic) -> dict[str, Any]:
    """A second or later card, always with a config: Talos runs DHCP on each link that has none, and with it comes a
    default route of the same metric as ours. Talos v1.13.9, controllers/network/operator_config.go.
    """
    interface: dict[str, Any] = {"deviceSelector": {"hardwareAddr": mac_of(spec, node, nic)}, "dhcp": nic.dhcp}
    if nic.dhcp:
        interface["dhcpOptions"] = {"routeMetric": SECOND_METRIC}
    if nic.addresses is not None:
        interface["addresses"] = [f"{nic.addresses.first}/{nic.prefix_length}"]
    if nic.mtu is not None:
        interface["mtu"] = nic.mtu
    return interface


def volumes(node: Node) -> Iterator[dict[str, Any]]:
    """A document for each data disk that Talos formats and mounts at `/var/mnt/<name>` (it hands those to the kubelet).

    https://docs.siderolabs.com/talos/v1.13/reference/configuration/block/uservolumeconfig
    """
    for number, disk in enumerate(node.data_disks, start=1):
        if not disk.is_volume:
            continue
        document: dict[str, Any] = {
            "apiVersion": "v1alpha1",
            "kind": "UserVolumeConfig",
            "name": disk.name,
            "provisioning": {"diskSelector": {"match": _selector(number, disk)}, "minSize": "100MiB", "grow": True},
            "filesystem": {"type": str(disk.filesystem)},
        }
        if disk.encryption is DiskEncryption.NODE_ID:
            document["encryption"] = {"provider": "luks2", "keys": [{"slot": 0, "nodeID": {}}]}
        yield document


def _selector(number: int, disk: DataDisk) -> str:
    """Finds `scsi<number>` in the guest, for as long as it is blank; afterwards Talos knows it by the volume's label.

    Talos shows no serial of SCSI disks (siderolabs/talos#12073: Linux has none in sysfs), so their links are what is
    left. udev names them by the device id (60-persistent-storage.rules), which Proxmox sets to `drive-scsi<number>`
    from machine version 10.0 on and for every disk that is plugged (PVE::QemuServer, print_drivedevice_full); before
    that QEMU took the serial (hw/scsi/scsi-disk.c, scsi_realize): the disk's name (terraform/modules/proxmox-vm).
    """
    ids = (f"drive-scsi{number}", disk.name[:SERIAL_LENGTH])
    return " || ".join(f"'/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{one}' in disk.symlinks" for one in ids)


def installer_image(spec: ClusterSpec) -> str:
    """`factory.talos.dev/nocloud-installer/<schematic>:<version>`: upgrades keep the extensions of the schematic."""
    schematic = spec.image.schematic
    return f"{spec.image.installer_registry}/nocloud-installer/{schematic_id(schematic)}:{spec.versions.talos}"


@lru_cache(maxsize=256)
def schematic_document(schematic: Schematic) -> str:
    """What is posted to the image factory; key order as its own marshaller writes it."""
    customization: dict[str, Any] = {}
    if schematic.kernel_args:
        customization["extraKernelArgs"] = list(schematic.kernel_args)
    if schematic.extensions:
        customization["systemExtensions"] = {"officialExtensions": sorted(schematic.extensions)}
    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.indent(mapping=4, sequence=6, offset=4)
    stream = StringIO()
    yaml.dump({"customization": customization}, stream)
    return stream.getvalue()


def schematic_id(schematic: Schematic) -> str:
    """The image factory's id: SHA-256 of the canonical document.

    See https://github.com/siderolabs/image-factory (pkg/schematic): the id is the hash of the marshalled YAML.
    """
    return schematic.id or hashlib.sha256(schematic_document(schematic).encode()).hexdigest()


def image_url(spec: ClusterSpec) -> str:
    """The nocloud disk image of the cluster's schematic and version, uncompressed so that Proxmox can import it."""
    return (
        f"{spec.image.factory_url}/image/{schematic_id(spec.image.schematic)}/{spec.versions.talos}/nocloud-amd64.raw"
    )


def _own(patches: Iterable[Patch], root: Path) -> tuple[str, ...]:
    return tuple(_own_patch(patch, root) for patch in patches)


def _own_patch(patch: Patch, root: Path) -> str:
    if patch.file is None:
        return dump(patch.content or {})
    path = (root / patch.file).resolve()
    if not path.is_relative_to(root.resolve()):
        raise Permanent(f"patch {patch.name}: {patch.file} leaves the repository", error_class=ErrorClass.CONFIG)
    try:
        return path.read_text()
    except OSError as error:
        raise Permanent(
            f"patch {patch.name}: {patch.file} cannot be read ({error.strerror})", error_class=ErrorClass.CONFIG
        ) from error
