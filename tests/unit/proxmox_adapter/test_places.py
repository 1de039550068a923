"""What one host needs is asked of it alone, what is hidden is not called missing, and what would fit is named."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from infraflux.adapters.proxmox.facts import Observed, StorageOnHost
from infraflux.adapters.proxmox.preflight import judge_preflight
from infraflux.adapters.proxmox.privileges import effective, missing, required
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import ErrorClass

SpecWith = Callable[..., ClusterSpec]
ObservedWith = Callable[..., Observed]
BIG = {"cores": 2, "memory_mib": 4096, "system_disk_gib": 20}
POOLS = [
    {"name": "cp", "role": "control-plane", "count": 1, "addresses": "127.78.1.11-127.78.1.13", **BIG},
    {
        "name": "store",
        "role": "worker",
        "nodes": [{"name": "store-1", "host": "pve3", "address": "127.78.1.41"}],
        "data_disks": [{"name": "bulk", "size_gib": 100, "storage": "rpool2"}],
        "nics": [{"name": "san", "bridge": "san1", "vlan": 30}],
        "pci_devices": [{"name": "gpu", "mapping": "rtx"}],
        **BIG,
    },
]


def rpool2(host: str) -> StorageOnHost:
    return StorageOnHost(name="rpool2", host=host, content=frozenset({"images"}), free_gib=500)


@pytest.fixture
def spec(spec_with: SpecWith) -> ClusterSpec:
    """A pool on pve3 alone with a disk, a card and a device that only pve3 has."""
    return spec_with(node_pools=POOLS, policy={"allow_single_control_plane": True})


@pytest.fixture
def well(spec: ClusterSpec, observed_with: ObservedWith) -> Observed:
    plain = observed_with(spec)
    pve3 = replace(plain.hosts["pve3"], bridges=frozenset({"vmbr0", "san1"}))
    return replace(
        plain,
        hosts={**plain.hosts, "pve3": pve3},
        storages={**plain.storages, ("pve3", "rpool2"): rpool2("pve3")},
        mappings={"rtx": frozenset({"pve3"})},
    )


def said(spec: ClusterSpec, observed: Observed) -> list[str]:
    return [finding.message for finding in judge_preflight(spec, observed)]


def without(rows: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    return {each: row for each, row in rows.items() if each != key}


def bridges(observed: Observed, host: str, *names: str) -> dict[str, Any]:
    return {"hosts": {**observed.hosts, host: replace(observed.hosts[host], bridges=frozenset(names))}}


def test_what_one_host_needs_is_asked_of_that_host_alone(spec: ClusterSpec, well: Observed) -> None:
    assert said(spec, well) == []
    assert required(spec)["/storage/rpool2"] == {"Datastore.AllocateSpace", "Datastore.Audit"}
    assert required(spec)["/sdn/zones/localnetwork/san1/30"] == {"SDN.Use"}
    assert required(spec)["/sdn/zones/localnetwork/vmbr0"] == {"SDN.Use"}
    assert required(spec)["/mapping/pci/rtx"] == {"Mapping.Use"}


Change = Callable[[Observed], dict[str, Any]]
HIDDEN: dict[str, tuple[str, Change, str]] = {
    "a storage": (
        "/storage/rpool2",
        lambda seen: {"storages": without(seen.storages, ("pve3", "rpool2"))},
        "lacks Datastore.AllocateSpace, Datastore.Audit on /storage/rpool2",
    ),
    "a VLAN": (
        "/sdn/zones/localnetwork/san1/30",
        lambda seen: bridges(seen, "pve3", "vmbr0"),
        "lacks SDN.Use on /sdn/zones/localnetwork/san1/30",
    ),
    "a mapping": ("/mapping/pci/rtx", lambda _: {"mappings": {}}, "lacks Mapping.Use on /mapping/pci/rtx"),
    "a host": (
        "/nodes/pve3",
        lambda seen: {"hosts": without(seen.hosts, "pve3")},
        "lacks Sys.Audit on /nodes/pve3",
    ),
}


@pytest.mark.parametrize(("path", "change", "lacks"), HIDDEN.values(), ids=HIDDEN.keys())
def test_what_the_token_may_not_see_is_not_called_missing(
    spec: ClusterSpec, well: Observed, path: str, change: Change, lacks: str
) -> None:
    observed = replace(well, privileges=without(well.privileges, path), **change(well))
    assert said(spec, observed) == [f"API token {spec.proxmox.token.id} {lacks}"]


GONE: dict[str, tuple[Change, str]] = {
    "a storage that is elsewhere": (
        lambda seen: {"storages": {**without(seen.storages, ("pve3", "rpool2")), ("pve1", "rpool2"): rpool2("pve1")}},
        "storage rpool2 does not exist on host pve3, only on pve1",
    ),
    "a bridge": (
        lambda seen: bridges(seen, "pve3", "vmbr0"),
        "bridge san1 does not exist on host pve3, which has vmbr0",
    ),
    "a mapping": (lambda _: {"mappings": {"a4000": frozenset()}}, "PCI mapping rtx does not exist; Proxmox has a4000"),
    "a device": (
        lambda _: {"mappings": {"rtx": frozenset({"pve1"})}},
        "PCI mapping rtx has no device on host pve3, only on pve1",
    ),
}


@pytest.mark.parametrize(("change", "message"), GONE.values(), ids=GONE.keys())
def test_what_does_not_exist_is_said_with_what_does(
    spec: ClusterSpec, well: Observed, change: Change, message: str
) -> None:
    assert said(spec, replace(well, **change(well))) == [message]


def test_a_vnet_is_asked_for_in_its_own_zone(spec: ClusterSpec) -> None:
    assert "/sdn/zones/homelab/san1/30" in required(spec, {"san1": "homelab"})
    assert "/sdn/zones/localnetwork/vmbr0" in required(spec, {"san1": "homelab"})


def test_a_pool_that_the_token_may_not_see_is_no_missing_pool(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with(proxmox={"pool": "home/k8s"})
    well = observed_with(spec)
    (finding,) = judge_preflight(spec, replace(well, privileges=without(well.privileges, "/pool/home/k8s")))
    assert "on /pool/home/k8s" in finding.message
    (finding,) = judge_preflight(spec, well)
    assert finding.message.startswith("resource pool home/k8s does not exist")


def granting(privileges: Mapping[str, frozenset[str]], **changes: Any) -> Observed:
    return Observed(version=(9, 1), hosts={}, privileges=privileges, **changes)


def test_machines_may_get_their_privileges_from_above(spec_with: SpecWith) -> None:
    spec = spec_with()
    everything = frozenset(name for names in required(spec).values() for name in names)
    assert list(missing(spec, granting({"/": everything}))) == []
    split = {**required(spec), f"/pool/{spec.pool_name}": frozenset({"Pool.Allocate", "Pool.Audit"})}
    assert [path for path, _ in missing(spec, granting(split))] == [f"/pool/{spec.pool_name}"]
    assert list(missing(spec, granting({**split, "/vms": everything}))) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/pool/x", {"a", "e"}), ("/pool/x/y", {"a"}), ("/pool/y", {"b"}), ("/storage/x", {"c"}), ("/", {"c"})],
    ids=["exact", "not below", "parent", "root", "itself"],
)
def test_effective_privileges_are_those_of_the_nearest_path(path: str, expected: set[str]) -> None:
    granted = {"/": frozenset({"c"}), "/pool": frozenset({"b"}), "/pool/x": frozenset({"a", "e"})}
    assert effective(granting(granted, not_inherited={"/pool/x": frozenset({"e"})}), path) == expected


def test_an_id_that_something_invisible_has_is_a_conflict(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with()
    observed = observed_with(spec, taken_ids=frozenset({10011, 10012}))
    (finding,) = judge_preflight(spec, observed, known={10012})
    assert finding.error_class is ErrorClass.CONFLICT
    assert finding.message.startswith("VM id 10011 of dev-1-cp-1 belongs to a guest that API token")


def test_memory_of_guests_that_the_token_may_not_see_counts_as_used(
    spec_with: SpecWith, observed_with: ObservedWith
) -> None:
    spec = spec_with()
    well = observed_with(spec)
    observed = replace(well, hosts={**well.hosts, "pve2": replace(well.hosts["pve2"], used_mib=60_000)})
    (message,) = said(spec, observed)
    assert message.startswith("host pve2 has 65536 MiB memory; its guests and the new machines need 70240 MiB")
    sees_all = {**required(spec), "/vms": frozenset({"VM.Audit"})}
    assert said(spec, replace(observed, privileges=sees_all)) == []


def test_capacity_names_what_would_fit(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with()
    well = observed_with(spec)
    small = replace(well.hosts["pve1"], memory_mib=12_288)
    full = replace(well.storages["pve1", "local-lvm"], free_gib=100)
    observed = replace(
        well, hosts={**well.hosts, "pve1": small}, storages={**well.storages, ("pve1", "local-lvm"): full}
    )
    assert said(spec, observed) == [
        "storage local-lvm on host pve1 has 100 GiB free, new machines need 110 GiB: 3 disks of 33 GiB would fit,"
        " or one of them on another host: pve2 (390 GiB), pve3 (390 GiB)",
        "host pve1 has 12288 MiB memory; its guests and the new machines need 12288 MiB, the host itself 2048 MiB:"
        " 5120 MiB for each of dev-1-cp-1, dev-1-worker-1 would fit,"
        " or one of them on another host: pve2 (51200 MiB), pve3 (51200 MiB)",
    ]


def test_nothing_left_is_said_too(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with()
    hosts = {name: replace(one, memory_mib=2048) for name, one in observed_with(spec).hosts.items()}
    found = said(spec, observed_with(spec, hosts=hosts))
    assert [message.rpartition(": ")[2] for message in found] == [
        f"nothing is left for dev-1-cp-{number}, dev-1-worker-{number}" for number in (1, 2, 3)
    ]
