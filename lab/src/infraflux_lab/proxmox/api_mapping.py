"""Calls on devices: what hosts have, and the names under which guests may use them."""

from typing import Any

from infraflux_lab.proxmox.errors import PveError, forbidden
from infraflux_lab.proxmox.facts.check import split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import PciMapping

routes = Routes()
SEEN_BY = ("Mapping.Audit", "Mapping.Use", "Mapping.Modify")


@routes("GET", "/cluster/mapping")
async def index(_call: Call) -> Any:
    """Kinds of devices."""
    return [{"name": name} for name in ("dir", "pci", "usb")]


def _view(mapping: PciMapping) -> dict[str, Any]:
    said = {"description": mapping.description} if mapping.description else {}
    return {"id": mapping.id, "map": mapping.map, **said, **({"mdev": 1} if mapping.mdev else {})}


def _problems(call: Call, mapping: PciMapping, node: str) -> list[dict[str, str]]:
    """What is wrong with a mapping on a host."""
    entries = [split_pairs(PAIRS["pci-map"], text) for text in mapping.map]
    here = [entry for entry in entries if entry["node"] == node]
    if not here:
        return [{"severity": "warning", "message": f"No mapping for node {node}."}]
    present = {device.id for device in call.sim.cluster.spec.hosts[node].pci}
    return [
        {"severity": "error", "message": f"Device '{entry['path']}' not found"}
        for entry in here
        if entry["path"] not in present
    ]


@routes("GET", "/cluster/mapping/pci")
async def pci_mappings(call: Call) -> Any:
    """PCI mappings that the caller may see."""
    node = call.form.get("check-node")
    if node and node not in call.sim.cluster.spec.hosts:
        raise PveError(f"no such cluster node '{node}'")
    return [
        {**_view(mapping), **({"checks": _problems(call, mapping, node)} if node else {})}
        for mapping in call.sim.cluster.pci_mappings.values()
        if call.allowed(f"/mapping/pci/{mapping.id}", *SEEN_BY)
    ]


@routes("POST", "/cluster/mapping/pci")
async def add_pci_mapping(call: Call) -> Any:
    """Give a device a name."""
    call.require("/mapping/pci", "Mapping.Modify")
    name = call.need("id")
    if name in call.sim.cluster.pci_mappings:
        raise PveError(f"create hardware mapping failed: pci ID '{name}' already defined")
    unknown = [text for text in call.items("map") if _host_of(text) not in call.sim.cluster.spec.hosts]
    if unknown:
        raise PveError(f"create hardware mapping failed: no such cluster node '{_host_of(unknown[0])}'")
    mapping = PciMapping(
        id=name, map=call.items("map"), description=call.form.get("description", ""), mdev=call.number("mdev", 0)
    )
    call.sim.cluster.save_pci_mapping(mapping)


def _host_of(text: str) -> str:
    return split_pairs(PAIRS["pci-map"], text)["node"]


def _mapping(call: Call) -> PciMapping:
    found = call.sim.cluster.pci_mappings.get(call.params["id"])
    if found is None:
        raise PveError(f"mapping '{call.params['id']}' does not exist")
    return found


@routes("GET", "/cluster/mapping/pci/{id}")
async def pci_mapping(call: Call) -> Any:
    """One mapping."""
    path = f"/mapping/pci/{call.params['id']}"
    if not call.allowed(path, *SEEN_BY):
        raise forbidden(path, *SEEN_BY)
    return _view(_mapping(call))


@routes("DELETE", "/cluster/mapping/pci/{id}")
async def remove_pci_mapping(call: Call) -> Any:
    """Take the name away."""
    call.require("/mapping/pci", "Mapping.Modify")
    call.sim.cluster.remove_pci_mapping(_mapping(call))


@routes("GET", "/nodes/{node}/hardware")
async def hardware(_call: Call) -> Any:
    """Kinds of hardware."""
    return [{"type": "pci"}, {"type": "usb"}]


@routes("GET", "/nodes/{node}/hardware/pci")
async def pci_devices(call: Call) -> Any:
    """PCI devices of a host; bridges and memory controllers only for who asks for all."""
    call.require("/", "Sys.Audit", "Sys.Modify")
    # Storage controllers, memory, bridges and processors are left out by default.
    hidden = call.names("pci-class-blacklist") if "pci-class-blacklist" in call.form else ["05", "06", "0b"]
    return [
        {
            "id": device.id,
            "class": f"0x{device.device_class}",
            "vendor": f"0x{device.vendor}",
            "device": f"0x{device.device}",
            "device_name": device.name,
            "iommugroup": number,
        }
        for number, device in enumerate(call.sim.cluster.spec.hosts[call.node].pci)
        if not device.device_class.startswith(tuple(hidden))
    ]
