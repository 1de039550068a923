"""What a machine's resources hold at this moment: a pure reading of its state."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from google.protobuf.struct_pb2 import Struct

from infraflux_lab.talos.bootstrap_manifests import FetchManifest, render_manifests
from infraflux_lab.talos.cluster import Cluster
from infraflux_lab.talos.config_loading import parse
from infraflux_lab.talos.content import Content, make_content
from infraflux_lab.talos.context import Schematics
from infraflux_lab.talos.definitions import DEFINITIONS, META_NAMESPACE, META_TYPE
from infraflux_lab.talos.hardware import disks, links, pretty_size
from infraflux_lab.talos.machine_config import STATIC_PODS, MachineConfig, image_schematic
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.proto import kubernetes_pb2, specs_pb2

_MIB = 1024 * 1024
# EFI, META and STATE partitions and the partition table, before EPHEMERAL takes the rest.
_OTHER_PARTITIONS_BYTES = 2300 * _MIB
_MTU = 1500
_LINK_ETHER, _OPER_UP, _FAMILY_INET4 = 1, 6, 2
_VOLUME_READY, _VOLUME_PARTITION, _FILESYSTEM_XFS = 6, 0, 2
_MACHINE_TYPES = {True: (2, "controlplane"), False: (3, "worker")}
_COMPONENTS = {
    "kube-apiserver": "APIServerConfigs.kubernetes.talos.dev",
    "kube-controller-manager": "ControllerManagerConfigs.kubernetes.talos.dev",
    "kube-scheduler": "SchedulerConfigs.kubernetes.talos.dev",
}


@lru_cache(maxsize=1)
def definitions() -> tuple[Content, ...]:
    """The definitions of all types; they never change."""
    return tuple(
        make_content(META_NAMESPACE, META_TYPE, definition.id, definition.proto(), definition.yaml())
        for definition in DEFINITIONS
    )


def snapshot(
    node: Node, *, cluster: Cluster | None, schematics: Schematics, fetch_manifest: FetchManifest
) -> list[Content]:
    """Every resource of a machine as it is now."""
    found = [*definitions(), *_runtime(node), *_extensions(node, schematics), *_hardware(node), *_network(node)]
    if node.config is not None and cluster is not None:
        found += [
            *_configuration(node, node.config),
            *_kubernetes(node, node.config, cluster),
            *_manifests(node.config, cluster, fetch_manifest),
            *_cluster(node, node.config, cluster),
        ]
    return found


def _runtime(node: Node) -> Iterator[Content]:
    unmet = [{"name": name, "reason": reason} for name, reason in node.unmet()]
    status = specs_pb2.MachineStatusStatus(ready=node.ready)
    for condition in unmet:
        status.unmet_conditions.add(**condition)
    yield make_content(
        "runtime",
        "MachineStatuses.runtime.talos.dev",
        "machine",
        specs_pb2.MachineStatusSpec(stage=int(node.stage), status=status),
        {"stage": node.stage.label, "status": {"ready": node.ready, "unmetConditions": unmet}},
    )
    yield make_content(
        "runtime",
        "Versions.runtime.talos.dev",
        "version",
        specs_pb2.VersionSpec(name="Talos", version=node.version),
        {"name": "Talos", "version": node.version},
    )
    for service in node.services.values():
        spec = {"running": service.state == "Running", "healthy": service.healthy, "unknown": service.unknown}
        yield make_content("runtime", "Services.v1alpha1.talos.dev", service.id, specs_pb2.ServiceSpec(**spec), spec)


def _extensions(node: Node, schematics: Schematics) -> Iterator[Content]:
    """Extensions of the running system: what its schematic names, and the schematic itself as Talos lists it."""
    schematic = image_schematic(node.record.image)
    if schematic is None:
        return
    names = [(name.rsplit("/", 1)[-1], node.version) for name in schematics(schematic)]
    for at, (name, version) in enumerate([*names, ("schematic", schematic)]):
        yield make_content(
            "runtime",
            "ExtensionStatuses.runtime.talos.dev",
            str(at),
            specs_pb2.ExtensionStatusSpec(
                image=f"{at:03}.{name}.sqsh",
                metadata=specs_pb2.ExtensionMetadata(name=name, version=version, author="simulated"),
            ),
            {
                "image": f"{at:03}.{name}.sqsh",
                "metadata": {"name": name, "version": version, "author": "simulated"},
            },
        )


def _hardware(node: Node) -> Iterator[Content]:
    yield make_content(
        "hardware",
        "SystemInformations.hardware.talos.dev",
        "systeminformation",
        specs_pb2.SystemInformationSpec(
            manufacturer="QEMU", product_name="Standard PC (Q35 + ICH9, 2009)", uuid=node.reported_uuid
        ),
        {"manufacturer": "QEMU", "productName": "Standard PC (Q35 + ICH9, 2009)", "uuid": node.reported_uuid},
    )
    for disk in disks(node):
        spec = {
            "dev_path": disk.path,
            "size": disk.size_bytes,
            "pretty_size": pretty_size(disk.size_bytes),
            "io_size": 512,
            "sector_size": 512,
            "readonly": False,
            "cdrom": False,
            "model": disk.model,
            "serial": disk.serial,
            "bus_path": disk.bus_path,
            "sub_system": disk.subsystem,
            "transport": disk.transport,
            "rotational": disk.rotational,
        }
        yield make_content("runtime", "Disks.block.talos.dev", disk.id, specs_pb2.DiskSpec(**spec), spec)
        if disk.system:
            yield from _volumes(node, disk.id, disk.size_bytes)


def _volumes(node: Node, disk: str, size: int) -> Iterator[Content]:
    yield make_content(
        "runtime",
        "SystemDisks.block.talos.dev",
        "system-disk",
        specs_pb2.SystemDiskSpec(disk_id=disk, dev_path=f"/dev/{disk}"),
        {"diskID": disk, "devPath": f"/dev/{disk}"},
    )
    if node.config is None:
        return
    left = max(size - _OTHER_PARTITIONS_BYTES, 0)
    yield make_content(
        "runtime",
        "VolumeStatuses.block.talos.dev",
        "EPHEMERAL",
        specs_pb2.VolumeStatusSpec(
            phase=_VOLUME_READY,
            type=_VOLUME_PARTITION,
            filesystem=_FILESYSTEM_XFS,
            location=f"/dev/{disk}4",
            size=left,
            pretty_size=pretty_size(left),
        ),
        {
            "phase": "ready",
            "type": "partition",
            "location": f"/dev/{disk}4",
            "size": left,
            "prettySize": pretty_size(left),
            "filesystem": "xfs",
        },
    )


def _network(node: Node) -> Iterator[Content]:
    yield make_content(
        "network",
        "HostnameStatuses.net.talos.dev",
        "hostname",
        specs_pb2.HostnameStatusSpec(hostname=node.hostname),
        {"hostname": node.hostname, "domainname": ""},
    )
    for link in links(node):
        raw = bytes.fromhex(link.mac.replace(":", ""))
        yield make_content(
            "network",
            "LinkStatuses.net.talos.dev",
            link.name,
            specs_pb2.LinkStatusSpec(
                index=link.index,
                type=_LINK_ETHER,
                hardware_addr=raw,
                permanent_addr=raw,
                mtu=_MTU,
                operational_state=_OPER_UP,
                driver="virtio_net",
                link_state=True,
            ),
            {
                "index": link.index,
                "type": "ether",
                "hardwareAddr": link.mac,
                "permanentAddr": link.mac,
                "mtu": _MTU,
                "operationalState": "up",
                "kind": "",
                "driver": "virtio_net",
                "linkState": True,
            },
        )
        if link.address:
            yield _address(link.name, link.index, link.address, link.prefix_length)


def _address(link: str, index: int, address: str, prefix_length: int) -> Content:
    prefix = specs_pb2.NetIPPrefix(ip=ip_address(address).packed, prefix_length=prefix_length)
    text = f"{address}/{prefix_length}"
    return make_content(
        "network",
        "AddressStatuses.net.talos.dev",
        f"{link}/{text}",
        specs_pb2.AddressStatusSpec(address=prefix, link_index=index, link_name=link, family=_FAMILY_INET4),
        {"address": text, "linkIndex": index, "linkName": link, "family": "inet4"},
    )


def _configuration(node: Node, config: MachineConfig) -> Iterator[Content]:
    """The configuration in force, and the one on disk that the next boot will use."""
    persisted = config if node.record.config is None else parse(node.record.config.encode())
    for name, shown in (("v1alpha1", config), ("persistent", persisted)):
        yield Content(
            namespace="config",
            type="MachineConfigs.config.talos.dev",
            id=name,
            proto=specs_pb2.MachineConfigSpec(yaml_marshalled=shown.raw).SerializeToString(),
            # A YAML string that holds YAML: so it is in Talos, marked by the annotation.
            spec=shown.raw.decode(),
            annotations={"talos.dev/yaml-spec": "1"},
        )


def _component(name: str, image: str) -> Content:
    """What Talos runs a component of the control plane with; only the API server's has the image first."""
    if name == "kube-apiserver":
        spec: dict[str, Any] = {"image": image}
        return make_content("controlplane", _COMPONENTS[name], name, specs_pb2.ImageSpec(image=image), spec)
    made = kubernetes_pb2.ControllerConfig(enabled=True, image=image)
    return make_content("controlplane", _COMPONENTS[name], name, made, {"enabled": True, "image": image})


def _kubernetes(node: Node, config: MachineConfig, cluster: Cluster) -> Iterator[Content]:
    yield make_content(
        "k8s",
        "Nodenames.kubernetes.talos.dev",
        "nodename",
        specs_pb2.NodenameSpec(nodename=node.hostname),
        {"nodename": node.hostname, "hostnameVersion": "1", "skipNodeRegistration": False},
    )
    kubelet: dict[str, Any] = {"image": config.kubelet_image, "args": config.kubelet_arguments}
    image = specs_pb2.ImageSpec(image=config.kubelet_image)
    yield make_content("k8s", "KubeletConfigs.kubernetes.talos.dev", "kubelet", image, {"image": config.kubelet_image})
    yield make_content(
        "k8s", "KubeletSpecs.kubernetes.talos.dev", "kubelet", kubernetes_pb2.KubeletSpec(**kubelet), kubelet
    )
    if not config.control_plane:
        return
    yield make_content(
        "controlplane",
        "BootstrapManifestsConfigs.kubernetes.talos.dev",
        "manifests",
        specs_pb2.BootstrapManifestsConfigSpec(cni_name=config.cni),
        {"cniName": config.cni},
    )
    for name, section in STATIC_PODS.items():
        content = _component(name, config.component_image(section))
        yield replace(content, version=node.config_versions[name])
        yield _static_pod_of(name, config, section)
    if cluster.running and node.registered:
        for name in _COMPONENTS:
            yield _static_pod_status(f"kube-system/{name}-{node.hostname}")


def _manifests(config: MachineConfig, cluster: Cluster, fetch: FetchManifest) -> Iterator[Content]:
    """What the cluster was begun with, and which of it has been applied."""
    if not config.control_plane:
        return
    yield from _manifest_contents(config.raw, fetch)
    if applied := cluster.manifests.applied:
        status = specs_pb2.ManifestStatusSpec(manifests_applied=applied)
        kind = "ManifestStatuses.kubernetes.talos.dev"
        yield make_content("controlplane", kind, "manifests", status, {"manifestsApplied": list(applied)})


@lru_cache(maxsize=32)
def _manifest_contents(raw: bytes, fetch: FetchManifest) -> tuple[Content, ...]:
    contents = []
    for name, objects in render_manifests(parse(raw), fetch).items():
        spec = specs_pb2.ManifestSpec()
        for one in objects:
            spec.items.add().object.update(one)
        contents.append(make_content("controlplane", "Manifests.kubernetes.talos.dev", name, spec, objects))
    return tuple(contents)


def _static_pod_of(name: str, config: MachineConfig, section: str) -> Content:
    """What the kubelet is given: the command line is where `upgrade-k8s` looks for flags that are gone."""
    command = [f"/usr/local/bin/{name}", *config.component_arguments(section)]
    container: dict[str, Any] = {"name": name, "image": config.component_image(section), "command": command}
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"containers": [container]},
    }
    struct = Struct()
    struct.update(pod)
    made = kubernetes_pb2.StaticPodSpec(pod=struct)
    return make_content("k8s", "StaticPods.kubernetes.talos.dev", name, made, pod)


def _static_pod_status(name: str) -> Content:
    status: dict[str, Any] = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
    }
    struct = Struct()
    struct.update(status)
    spec = specs_pb2.StaticPodStatusSpec(pod_status=struct)
    return make_content("k8s", "StaticPodStatuses.kubernetes.talos.dev", name, spec, status)


def _cluster(node: Node, config: MachineConfig, cluster: Cluster) -> Iterator[Content]:
    yield make_content(
        "cluster",
        "Infos.cluster.talos.dev",
        "current",
        specs_pb2.ClusterInfoSpec(cluster_id=config.cluster_id, cluster_name=config.cluster_name),
        {"clusterId": config.cluster_id, "clusterName": config.cluster_name},
    )
    if (member := cluster.member_of(node)) and node.record.etcd_data:
        spec = {"memberID": f"{member.id:016x}"}
        yield make_content(
            "etcd", "EtcdMembers.etcd.talos.dev", "local", specs_pb2.EtcdMemberSpec(member_id=spec["memberID"]), spec
        )
    for other in cluster.nodes():
        yield _discovered(other)


def _discovered(node: Node) -> Content:
    """A machine as the discovery service tells the others of it."""
    number, label = _MACHINE_TYPES[node.control_plane]
    system = f"Talos ({node.version})"
    spec = specs_pb2.MemberSpec(
        node_id=node.record.node_id, hostname=node.hostname, machine_type=number, operating_system=system
    )
    shown: dict[str, Any] = {
        "nodeId": node.record.node_id,
        "addresses": [node.address],
        "hostname": node.hostname,
        "machineType": label,
        "operatingSystem": system,
    }
    spec.addresses.add(ip=ip_address(node.address).packed)
    if node.control_plane:
        spec.control_plane.api_server_port = 6443
        shown["controlPlane"] = {"port": 6443}
    return make_content("cluster", "Members.cluster.talos.dev", node.hostname, spec, shown)
