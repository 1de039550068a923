"""The resource types the emulator serves, as `talosctl get` needs them: names, aliases, columns, sensitivity."""

from collections.abc import Sequence
from dataclasses import dataclass

from infraflux_lab.talos.proto import cosi_pb2

META_NAMESPACE = "meta"
META_TYPE = "ResourceDefinitions.meta.cosi.dev"
_Column = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One resource type."""

    type: str
    display: str
    namespace: str
    aliases: Sequence[str] = ()
    columns: Sequence[_Column] = ()
    sensitive: bool = False

    @property
    def id(self) -> str:
        return self.type.lower()

    @property
    def all_aliases(self) -> list[str]:
        """Own aliases, the singular, the initials, and the plural with every shortened suffix, as COSI makes them."""
        name, suffix = self.type.split(".", 1)
        parts = suffix.split(".")
        longer = [".".join([name.lower(), *parts[:end]]) for end in range(1, len(parts))]
        return [name.lower(), *longer, *self.short_aliases]

    @property
    def short_aliases(self) -> list[str]:
        """Those `talosctl api-resources` shows."""
        initials = "".join(char for char in self.type.split(".", 1)[0] if char.isupper()).lower()
        own = [*self.aliases, self.display.lower()]
        if len(initials) > 1:
            own += [initials] if initials.endswith("s") else [initials, f"{initials}s"]
        return list(dict.fromkeys(own))

    def proto(self) -> cosi_pb2.ResourceDefinitionSpec:
        spec = cosi_pb2.ResourceDefinitionSpec(
            resource_type=self.type,
            display_type=self.display,
            default_namespace=self.namespace,
            aliases=self.short_aliases,
            all_aliases=self.all_aliases,
            sensitivity=int(self.sensitive),
        )
        for name, path in self.columns:
            spec.print_columns.add(name=name, json_path=path)
        return spec

    def yaml(self) -> dict[str, object]:
        spec: dict[str, object] = {
            "type": self.type,
            "displayType": self.display,
            "defaultNamespace": self.namespace,
            "aliases": self.short_aliases,
            "allAliases": self.all_aliases,
            "printColumns": [{"name": name, "jsonPath": path} for name, path in self.columns],
        }
        return {**spec, "sensitivity": "sensitive"} if self.sensitive else spec


def _kubernetes(plural: str, display: str, *, namespace: str, sensitive: bool = False) -> Definition:
    return Definition(type=f"{plural}.kubernetes.talos.dev", display=display, namespace=namespace, sensitive=sensitive)


DEFINITIONS: Sequence[Definition] = (
    Definition(
        type=META_TYPE,
        display="ResourceDefinition",
        namespace=META_NAMESPACE,
        aliases=("api-resources",),
        columns=(("Aliases", "{.aliases[:]}"),),
    ),
    Definition(type="MachineConfigs.config.talos.dev", display="MachineConfig", namespace="config", sensitive=True),
    Definition(
        type="MachineStatuses.runtime.talos.dev",
        display="MachineStatus",
        namespace="runtime",
        columns=(("Stage", "{.stage}"), ("Ready", "{.status.ready}")),
    ),
    Definition(
        type="Versions.runtime.talos.dev",
        display="Version",
        namespace="runtime",
        columns=(("Name", "{.name}"), ("Version", "{.version}")),
    ),
    Definition(
        type="ExtensionStatuses.runtime.talos.dev",
        display="ExtensionStatus",
        namespace="runtime",
        aliases=("extensions",),
        columns=(("Name", "{.metadata.name}"), ("Version", "{.metadata.version}")),
    ),
    Definition(
        type="Diagnostics.runtime.talos.dev",
        display="Diagnostic",
        namespace="runtime",
        columns=(("Message", "{.message}"),),
    ),
    Definition(
        type="SystemInformations.hardware.talos.dev",
        display="SystemInformation",
        namespace="hardware",
        aliases=("systeminformation",),
        columns=(
            ("Manufacturer", "{.manufacturer}"),
            ("ProductName", "{.productName}"),
            ("Version", "{.version}"),
            ("SerialNumber", "{.serialnumber}"),
            ("UUID", "{.uuid}"),
            ("WakeUpType", "{.wakeUpType}"),
            ("SKUNumber", "{.skuNumber}"),
        ),
    ),
    Definition(
        type="LinkStatuses.net.talos.dev",
        display="LinkStatus",
        namespace="network",
        aliases=("link", "links"),
        columns=(
            ("Alias", "{.alias}"),
            ("Type", "{.type}"),
            ("Kind", "{.kind}"),
            ("Hw Addr", "{.hardwareAddr}"),
            ("Oper State", "{.operationalState}"),
            ("Link State", "{.linkState}"),
        ),
    ),
    Definition(
        type="AddressStatuses.net.talos.dev",
        display="AddressStatus",
        namespace="network",
        aliases=("address", "addresses"),
        columns=(("Address", "{.address}"), ("Link", "{.linkName}")),
    ),
    Definition(
        type="HostnameStatuses.net.talos.dev",
        display="HostnameStatus",
        namespace="network",
        aliases=("hostname",),
        columns=(("Hostname", "{.hostname}"), ("Domainname", "{.domainname}")),
    ),
    Definition(
        type="Members.cluster.talos.dev",
        display="Member",
        namespace="cluster",
        columns=(
            ("Hostname", "{.hostname}"),
            ("Machine Type", "{.machineType}"),
            ("OS", "{.operatingSystem}"),
            ("Addresses", "{.addresses}"),
        ),
    ),
    Definition(
        type="Infos.cluster.talos.dev",
        display="Info",
        namespace="cluster",
        columns=(("Cluster ID", "{.clusterId}"), ("Cluster Name", "{.clusterName}")),
    ),
    Definition(
        type="Disks.block.talos.dev",
        display="Disk",
        namespace="runtime",
        columns=(
            ("Size", "{.pretty_size}"),
            ("Read Only", "{.readonly}"),
            ("Transport", "{.transport}"),
            ("Rotational", "{.rotational}"),
            ("WWID", "{.wwid}"),
            ("Model", "{.model}"),
            ("Serial", "{.serial}"),
        ),
    ),
    Definition(
        type="SystemDisks.block.talos.dev",
        display="SystemDisk",
        namespace="runtime",
        columns=(("Disk", "{.diskID}"),),
    ),
    Definition(
        type="VolumeStatuses.block.talos.dev",
        display="VolumeStatus",
        namespace="runtime",
        columns=(
            ("Type", "{.type}"),
            ("Phase", "{.phase}"),
            ("Location", "{.location}"),
            ("Size", "{.prettySize}"),
        ),
    ),
    Definition(
        type="Services.v1alpha1.talos.dev",
        display="Service",
        namespace="runtime",
        aliases=("svc",),
        columns=(("Running", "{.running}"), ("Healthy", "{.healthy}"), ("Health Unknown", "{.unknown}")),
    ),
    Definition(
        type="EtcdMembers.etcd.talos.dev",
        display="EtcdMember",
        namespace="etcd",
        columns=(("Member ID", "{.memberID}"),),
    ),
    Definition(
        type="StaticPodStatuses.kubernetes.talos.dev",
        display="StaticPodStatus",
        namespace="k8s",
        aliases=("podstatus",),
        columns=(("Ready", '{.conditions[?(@.type=="Ready")].status}'),),
    ),
    Definition(
        type="Nodenames.kubernetes.talos.dev",
        display="Nodename",
        namespace="k8s",
        columns=(("Nodename", "{.nodename}"),),
    ),
    _kubernetes("StaticPods", "StaticPod", namespace="k8s"),
    _kubernetes("KubeletConfigs", "KubeletConfig", namespace="k8s", sensitive=True),
    _kubernetes("KubeletSpecs", "KubeletSpec", namespace="k8s", sensitive=True),
    _kubernetes("APIServerConfigs", "APIServerConfig", namespace="controlplane", sensitive=True),
    _kubernetes("ControllerManagerConfigs", "ControllerManagerConfig", namespace="controlplane", sensitive=True),
    _kubernetes("SchedulerConfigs", "SchedulerConfig", namespace="controlplane", sensitive=True),
    _kubernetes("BootstrapManifestsConfigs", "BootstrapManifestsConfig", namespace="controlplane"),
    _kubernetes("Manifests", "Manifest", namespace="controlplane"),
    _kubernetes("ManifestStatuses", "ManifestStatus", namespace="controlplane"),
)

BY_TYPE = {definition.type: definition for definition in DEFINITIONS}
NAMESPACES = frozenset(definition.namespace for definition in DEFINITIONS)
