"""Terraform variables are a pure, byte-stable function of the spec."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infraflux.config.models import ClusterSpec
from infraflux.core.errors import Permanent
from infraflux.render.terraform import image_volume, render_cluster, render_globals, to_tfvars

SpecWith = Callable[..., ClusterSpec]


def pools(spec: ClusterSpec, **changes: Any) -> list[dict[str, Any]]:
    """The spec's node pools as data, the last one changed."""
    written = [pool.model_dump(mode="json") for pool in spec.node_pools]
    written[-1].update(changes)
    return written


def test_equal_specs_give_equal_bytes(spec_with: SpecWith) -> None:
    assert to_tfvars(render_cluster(spec_with())) == to_tfvars(render_cluster(spec_with()))
    assert to_tfvars(render_cluster(spec_with())).endswith("}\n")


def test_a_node_carries_its_whole_identity(spec_with: SpecWith) -> None:
    spec = spec_with()
    node = render_cluster(spec)["nodes"]["dev-1-worker-2"]
    wanted = spec.node("dev-1-worker-2")
    assert node == {
        "role": "worker",
        "host": "pve2",
        "vm_id": 10022,
        "mac": wanted.mac,
        "uuid": wanted.uuid,
        "address": "127.78.1.22",
        "cores": 4,
        "memory_mib": 8192,
        "system_disk": {"size_gib": 40, "storage": "local-lvm"},
        "data_disks": [{"name": "data", "size_gib": 50, "storage": "local-lvm", "ssd": True}],
        "extra_nics": [],
        "pci_devices": [],
        "tags": ["infraflux", "infraflux-dev-dev-1", "worker"],
    }


def test_growing_a_pool_changes_no_other_node(spec_with: SpecWith) -> None:
    small = spec_with()
    grown = spec_with(node_pools=pools(small, count=5))
    before, after = render_cluster(small)["nodes"], render_cluster(grown)["nodes"]
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"dev-1-worker-4", "dev-1-worker-5"}


def test_what_one_pool_has_of_its_own(spec_with: SpecWith) -> None:
    nics = [{"name": "storage", "bridge": "vmbr1", "mtu": 9000}]
    changes = {"cpu_type": "host", "system_disk_storage": "ceph", "nics": nics}
    nodes = render_cluster(spec_with(node_pools=pools(spec_with(), **changes)))["nodes"]
    worker, control_plane = nodes["dev-1-worker-1"], nodes["dev-1-cp-1"]
    assert (worker["cpu_type"], worker["system_disk"]["storage"], worker["extra_nics"][0]["mtu"]) == (
        "host",
        "ceph",
        9000,
    )
    assert "cpu_type" not in control_plane
    assert control_plane["system_disk"]["storage"] == "local-lvm"


def test_extra_cards_get_a_mac_that_stays(spec_with: SpecWith) -> None:
    spec = spec_with(node_pools=pools(spec_with(), nics=[{"name": "storage", "bridge": "vmbr1", "vlan": 30}]))
    macs = [node["extra_nics"][0]["mac"] for node in render_cluster(spec)["nodes"].values() if node["extra_nics"]]
    assert len(set(macs)) == 3
    assert all(mac.startswith("bc:24:11:") for mac in macs)
    assert render_cluster(spec) == render_cluster(spec)


@pytest.mark.parametrize(("ha", "expected"), [(True, {"dev-1-cp-1": "pve2"}), (False, {})], ids=["ha", "no-ha"])
def test_placement_counts_only_where_proxmox_decides_it(
    spec_with: SpecWith, ha: bool, expected: dict[str, str]
) -> None:
    rendered = render_cluster(spec_with(proxmox={"ha": ha}), placement={"dev-1-cp-1": "pve2"})
    assert rendered["placement"] == expected


@pytest.mark.parametrize(
    ("extensions", "agent"), [([], False), (["siderolabs/qemu-guest-agent"], True)], ids=["plain", "with-agent"]
)
def test_agent_follows_the_schematic(spec_with: SpecWith, extensions: list[str], agent: bool) -> None:
    spec = spec_with(image={"schematic": {"extensions": extensions}})
    assert render_cluster(spec)["image"]["agent"] is agent


def test_globals_hold_what_all_clusters_of_the_environment_need(spec_with: SpecWith) -> None:
    old = spec_with(name="dev-2", versions={"talos": "v1.12.0"})
    variables = render_globals([spec_with(), old])
    assert variables["hosts"] == ["pve1", "pve2", "pve3"]
    assert variables["pools"] == {"infraflux-dev": "InfraFlux environment dev"}
    assert [name.split("-")[1] for name in variables["images"]] == ["v1.13.9", "v1.12.0"]
    assert render_globals([spec_with()])["images"].keys() < variables["images"].keys()


def test_a_named_pool_is_left_to_its_owner(spec_with: SpecWith) -> None:
    spec = spec_with(proxmox={"pool": "shared"})
    assert render_globals([spec])["pools"] == {}
    assert render_cluster(spec)["proxmox"]["pool"] == "shared"


def test_the_cluster_imports_the_image_that_globals_download(spec_with: SpecWith) -> None:
    spec = spec_with()
    (file_name,) = render_globals([spec])["images"]
    assert image_volume(spec) == f"local:import/{file_name}"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"proxmox": {"endpoint": "https://127.78.9.2:8006"}}, "proxmox.endpoint"),
        ({"proxmox": {"pool": "other"}}, "proxmox.pool"),
        ({"proxmox": {"storage": {"disks": "local-lvm", "images": "nfs"}}}, "proxmox.storage.images"),
    ],
    ids=["endpoint", "pool", "image-storage"],
)
def test_clusters_of_one_environment_may_not_disagree(spec_with: SpecWith, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(Permanent, match=what):
        render_globals([spec_with(), spec_with(name="dev-2", **changes)])


def test_no_secret_and_no_reference_to_one_is_rendered(spec_with: SpecWith) -> None:
    spec = spec_with()
    text = json.dumps([render_cluster(spec), render_globals([spec])])
    assert "TEST_TOKEN" not in text
    assert "TEST_AGE_IDENTITY" not in text
