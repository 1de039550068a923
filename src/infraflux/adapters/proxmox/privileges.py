"""The least an API token needs, path by path; docs/proxmox.md is the same list for people."""

from collections.abc import Iterator, Mapping

from infraflux.adapters.proxmox.facts import Observed
from infraflux.config.models import ClusterSpec

MACHINES = frozenset(
    {
        "VM.Allocate",
        "VM.Audit",
        "VM.Config.CDROM",
        "VM.Config.CPU",
        "VM.Config.Cloudinit",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.Migrate",
        "VM.PowerMgmt",
    }
)
"""On `/vms`, or on the resource pool: its members inherit it."""


DISKS = frozenset({"Datastore.AllocateSpace", "Datastore.Audit"})
IMAGES = DISKS | {"Datastore.AllocateTemplate"}
LOCAL_ZONE = "localnetwork"
"""Where Proxmox has every bridge that is no VNet of the SDN."""


def required(spec: ClusterSpec, zones: Mapping[str, str] | None = None) -> dict[str, frozenset[str]]:
    """Privileges by path for everything that is done to this cluster; `zones`: the SDN zone of each VNet."""
    needed: dict[str, frozenset[str]] = {
        f"/pool/{spec.pool_name}": MACHINES | _pool(spec),
        f"/storage/{spec.proxmox.storage.images}": IMAGES,
    }
    for name in disk_storages(spec):
        path = f"/storage/{name}"
        needed[path] = needed.get(path, frozenset()) | DISKS
    for bridge, vlan in cards(spec):
        needed[network_path(bridge, vlan, zones or {})] = frozenset({"SDN.Use"})
    for host in spec.proxmox.hosts:
        # Sys.AccessNetwork lets the host fetch the image by itself.
        needed[f"/nodes/{host.name}"] = frozenset({"Sys.Audit", "Sys.AccessNetwork"})
    # Every machine has a place in the start order of its host, and that is for who may change the host:
    # PVE::API2::Qemu, check_vm_modify_config_perm, the special case of `startup`.
    needed["/"] = frozenset({"Sys.Modify"})
    if spec.proxmox.ha:
        needed["/"] |= {"Sys.Audit", "Sys.Console"}
    for mapping in sorted({device.mapping for node in spec.nodes for device in node.pci_devices}):
        needed[f"/mapping/pci/{mapping}"] = frozenset({"Mapping.Use"})
    return needed


def disk_storages(spec: ClusterSpec) -> set[str]:
    """Every storage that holds something of a machine."""
    storage = spec.proxmox.storage
    system = {node.system_disk_storage or storage.disks for node in spec.nodes}
    data = {disk.storage or storage.disks for node in spec.nodes for disk in node.data_disks}
    return {storage.cloud_init or storage.disks, *system, *data}


def cards(spec: ClusterSpec) -> set[tuple[str, int | None]]:
    """Bridge and VLAN of every card of every machine."""
    first = (spec.proxmox.bridge.name, spec.proxmox.bridge.vlan)
    return {first, *((nic.bridge, nic.vlan) for node in spec.nodes for nic in node.nics)}


def network_path(bridge: str, vlan: int | None, zones: Mapping[str, str]) -> str:
    """Where Proxmox looks for SDN.Use: on the VLAN of a card that has one, else on the bridge.

    pve-guest-common, src/PVE/GuestHelpers.pm, check_vnet_access.
    """
    path = f"/sdn/zones/{zones.get(bridge, LOCAL_ZONE)}/{bridge}"
    return path if vlan is None else f"{path}/{vlan}"


def missing(spec: ClusterSpec, observed: Observed) -> Iterator[tuple[str, frozenset[str]]]:
    """Path and privileges that the token lacks."""
    for path, wanted in sorted(required(spec, observed.zones).items()):
        have = effective(observed, path)
        if path.startswith("/pool/"):
            have |= effective(observed, "/vms") & MACHINES
        if path.startswith("/nodes/") and "Sys.Modify" in have | effective(observed, "/"):
            have |= {"Sys.AccessNetwork"}  # what older versions ask for instead
        if lacking := wanted - have:
            yield path, lacking


def effective(observed: Observed, path: str) -> frozenset[str]:
    """What holds on `path`: the nearest path above it that is listed, which already includes what it inherited.

    A privilege that does not propagate ends where it was granted (pve-admin-guide, Permission Management).
    """
    candidate = path
    while True:
        if candidate in observed.privileges:
            ends = frozenset() if candidate == path else observed.not_inherited.get(candidate, frozenset())
            return observed.privileges[candidate] - ends
        if candidate == "/":
            return frozenset()
        candidate = candidate.rsplit("/", 1)[0] or "/"


def may_see_storage(observed: Observed, name: str) -> bool:
    """Proxmox lists a storage only to those who may look at it (pve-manager, PVE/API2/Cluster.pm, resources)."""
    return bool(effective(observed, f"/storage/{name}") & {"Datastore.Audit", "Datastore.AllocateSpace"})


def may_see_network(observed: Observed, bridge: str, vlan: int | None) -> bool:
    """The same for a bridge or VNet (pve-manager, PVE/API2/Network.pm, index)."""
    paths = (network_path(bridge, None, observed.zones), network_path(bridge, vlan, observed.zones))
    return any(effective(observed, path) & {"SDN.Audit", "SDN.Use"} for path in paths)


def may_see_every_guest(observed: Observed) -> bool:
    """Whether `cluster/resources` holds the machines of others too."""
    return "VM.Audit" in effective(observed, "/vms/0")


def _pool(spec: ClusterSpec) -> frozenset[str]:
    return frozenset({"Pool.Audit"} if spec.proxmox.pool else {"Pool.Allocate", "Pool.Audit"})
