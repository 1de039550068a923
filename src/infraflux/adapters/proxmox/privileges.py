"""The least an API token needs, path by path; docs/proxmox.md is the same list for people."""

from collections.abc import Iterator, Mapping

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


def required(spec: ClusterSpec) -> dict[str, frozenset[str]]:
    """Privileges by path for everything that is done to this cluster."""
    storage = spec.proxmox.storage
    needed: dict[str, frozenset[str]] = {
        f"/storage/{storage.disks}": frozenset({"Datastore.AllocateSpace", "Datastore.Audit"}),
        f"/pool/{spec.pool_name}": MACHINES | _pool(spec),
        f"/sdn/zones/localnetwork/{spec.proxmox.bridge.name}": frozenset({"SDN.Use"}),
    }
    for name, privileges in (
        (storage.images, {"Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"}),
        (storage.cloud_init or storage.disks, {"Datastore.AllocateSpace", "Datastore.Audit"}),
    ):
        path = f"/storage/{name}"
        needed[path] = needed.get(path, frozenset()) | privileges
    for host in spec.proxmox.hosts:
        # Sys.AccessNetwork lets the host fetch the image by itself.
        needed[f"/nodes/{host.name}"] = frozenset({"Sys.Audit", "Sys.AccessNetwork"})
    # Every machine has a place in the start order of its host, and that is for who may change the host:
    # PVE::API2::Qemu, check_vm_modify_config_perm, the special case of `startup`.
    needed["/"] = frozenset({"Sys.Modify"})
    if spec.proxmox.ha:
        needed["/"] |= {"Sys.Audit", "Sys.Console"}
    if any(node.pci_devices for node in spec.nodes):
        needed["/mapping/pci"] = frozenset({"Mapping.Use"})
    return needed


def missing(spec: ClusterSpec, granted: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    """Path and privileges that the token lacks."""
    for path, wanted in sorted(required(spec).items()):
        have = effective(granted, path)
        if path.startswith("/pool/"):
            have |= effective(granted, "/vms") & MACHINES
        if path.startswith("/nodes/") and "Sys.Modify" in have | effective(granted, "/"):
            have |= {"Sys.AccessNetwork"}  # what older versions ask for instead
        if lacking := wanted - have:
            yield path, lacking


def effective(granted: Mapping[str, frozenset[str]], path: str) -> frozenset[str]:
    """What holds on `path`: the nearest path above it that is listed, which already includes what it inherited."""
    candidate = path
    while True:
        if candidate in granted:
            return granted[candidate]
        if candidate == "/":
            return frozenset()
        candidate = candidate.rsplit("/", 1)[0] or "/"


def _pool(spec: ClusterSpec) -> frozenset[str]:
    return frozenset({"Pool.Audit"} if spec.proxmox.pool else {"Pool.Allocate", "Pool.Audit"})
