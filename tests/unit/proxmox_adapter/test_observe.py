"""The look at a Proxmox cluster, through a fake reader: what is asked, and what the answers become."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from infraflux.adapters.proxmox.observe import observe
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError, Permanent, Retryable

SpecWith = Callable[..., ClusterSpec]
RESOURCES = [
    {"type": "node", "node": name, "status": "online", "maxcpu": 16, "maxmem": 2**36, "mem": 2**34}
    for name in ("pve1", "pve2", "pve3")
]
AUDIT = {"/": {"VM.Audit": 1, "Sys.Audit": 1}}


@dataclass
class FakeReader:
    """Answers by path, `path?vmid=1` first; remembers what it was asked."""

    answers: dict[str, Any]
    asked: list[str] = field(default_factory=list)

    def read(self, path: str, **parameters: Any) -> Any:
        key = "&".join([path, *(f"{name}={value}" for name, value in parameters.items())])
        self.asked.append(key)
        answer = self.answers.get(key, self.answers.get(path))
        if isinstance(answer, InfrafluxError):
            raise answer
        return answer


def reader(permissions: Any = None, **answers: Any) -> FakeReader:
    known = {
        "version": {"version": "9.1.3"},
        "cluster/resources": RESOURCES,
        "access/permissions": permissions or AUDIT,
        **{f"nodes/{row['node']}/network": [{"iface": "vmbr0", "type": "bridge"}] for row in RESOURCES},
    }
    return FakeReader({**known, **{path.replace("__", "/"): answer for path, answer in answers.items()}})


def test_an_ordinary_look_asks_nothing_more_than_it_needs(spec_with: SpecWith) -> None:
    proxmox = reader()
    seen = observe(proxmox, spec_with())
    networks = [f"nodes/{row['node']}/network&type=any_bridge" for row in RESOURCES]
    assert proxmox.asked == ["version", "cluster/resources", "access/permissions", *networks]
    assert (seen.hosts["pve1"].used_mib, seen.hosts["pve1"].memory_mib) == (16384, 65536)
    assert (seen.zones, seen.taken_ids, seen.mappings) == ({}, frozenset(), None)


def test_what_does_not_propagate_is_told_from_what_does(spec_with: SpecWith) -> None:
    seen = observe(reader({**AUDIT, "/storage": {"Datastore.Audit": 0, "Datastore.AllocateSpace": 1}}), spec_with())
    assert seen.privileges["/storage"] == {"Datastore.Audit", "Datastore.AllocateSpace"}
    assert seen.not_inherited["/storage"] == {"Datastore.Audit"}


VNETS: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "listed": ([{"vnet": "k8s", "zone": "homelab"}], AUDIT, {"k8s": "homelab"}),
    "not listed, yet granted": (
        Permanent("403"),
        {**AUDIT, "/sdn/zones/lab/k8s/30": {"SDN.Use": 1}},
        {"k8s": "lab"},
    ),
    "no such call": (Retryable("https://pve: GET cluster/sdn/vnets: 501 not implemented"), AUDIT, {}),
}


@pytest.mark.parametrize(("vnets", "permissions", "zones"), VNETS.values(), ids=VNETS.keys())
def test_the_zone_of_a_vnet(spec_with: SpecWith, vnets: Any, permissions: Any, zones: dict[str, str]) -> None:
    answer = [{"iface": "k8s", "type": "vnet"}, {"iface": "vmbr0", "type": "bridge"}]
    proxmox = reader(permissions, cluster__sdn__vnets=vnets, nodes__pve1__network=answer)
    seen = observe(proxmox, spec_with(proxmox={"bridge": {"name": "k8s"}}))
    assert seen.zones == zones
    assert seen.hosts["pve1"].vnets == {"k8s"}


def test_ids_are_asked_for_where_guests_of_others_are_hidden(spec_with: SpecWith) -> None:
    taken = {f"cluster/nextid&vmid={vm_id}": str(vm_id) for vm_id in range(10000, 10100)}
    taken["cluster/nextid&vmid=10012"] = Permanent("400 {'vmid': 'VM 10012 already exists'}")
    taken["cluster/nextid&vmid=10013"] = Permanent("403 not allowed")
    proxmox = reader({"/pool/infraflux-dev": {"VM.Audit": 1}}, **taken)
    assert observe(proxmox, spec_with()).taken_ids == {10012}


def test_hosts_of_a_mapping(spec_with: SpecWith) -> None:
    pools = [{**pool, "pci_devices": [{"name": "gpu", "mapping": "rtx"}]} for pool in POOLS]
    rows = [{"id": "rtx", "map": ["id=10de:1,node=pve1,path=0000:01:00.0", "node=pve3,path=0000:02:00.0,id=10de:1"]}]
    seen = observe(reader(cluster__mapping__pci=rows), spec_with(node_pools=pools))
    assert seen.mappings == {"rtx": {"pve1", "pve3"}}


POOLS = [
    {
        "name": "cp", "role": "control-plane", "count": 1, "addresses": "127.78.1.11-127.78.1.13",
        "cores": 2, "memory_mib": 4096, "system_disk_gib": 20,
    }
]  # fmt: skip


def test_an_outage_stays_an_outage(spec_with: SpecWith) -> None:
    with pytest.raises(Retryable):
        observe(reader(nodes__pve1__network=Retryable("595 no route")), spec_with())
