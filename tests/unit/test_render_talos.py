"""Talos patches are a pure, byte-stable function of the spec."""

from pathlib import Path
from typing import Any

import pytest
from fakes.specs import make_spec
from ruamel.yaml import YAML

from infraflux.config.models.derive import mac_of
from infraflux.config.models.talos import Schematic
from infraflux.render.block_yaml import dump
from infraflux.render.talos import render_patches, schematic_id

PLATFORM = Path(__file__).parents[2] / "platform"
KNOWN_IDS = {
    # Both are published in Talos' own documentation.
    "plain Talos": (Schematic(), "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"),
    "guest agent": (
        Schematic(extensions=("siderolabs/qemu-guest-agent",)),
        "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515",
    ),
}


@pytest.mark.parametrize(("schematic", "expected"), KNOWN_IDS.values(), ids=KNOWN_IDS.keys())
def test_schematic_id_is_the_image_factorys(schematic: Schematic, expected: str):
    assert schematic_id(schematic) == expected


def test_given_schematic_id_is_kept():
    assert schematic_id(Schematic(id="a" * 64)) == "a" * 64


@pytest.mark.parametrize("word", ["off", "on", "No", "yes", "null", "~"])
def test_words_that_yaml_1_1_reads_as_something_else_are_quoted(word: str):
    assert dump({"auto": word}) == f'auto: "{word}"\n'


MARKS = {
    "labels": {"tier": "edge", "node-role.kubernetes.io/gpu": ""},
    "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "slow", "effect": "PreferNoSchedule"}],
}


def machine_with_marks(role: str) -> dict[str, Any]:
    pools = make_spec().model_dump(mode="json")["node_pools"]
    spec = make_spec(node_pools=[pool | (MARKS if pool["role"] == role else {}) for pool in pools])
    [node] = [one for one in spec.nodes if one.role == role]
    patch, *_ = render_patches(spec, root=Path()).node[node.name]
    return dict(YAML(typ="safe").load(patch)["machine"])


def test_a_worker_registers_with_its_taints_and_writes_the_labels_it_may():
    machine = machine_with_marks("worker")
    assert machine["nodeLabels"] == {"tier": "edge"}
    assert "nodeTaints" not in machine
    gpu, slow = machine["kubelet"]["extraConfig"]["registerWithTaints"]
    assert gpu == {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    assert slow == {"key": "slow", "value": "", "effect": "PreferNoSchedule"}


def test_talos_writes_all_of_a_control_planes_labels_and_taints():
    machine = machine_with_marks("control-plane")
    assert machine["nodeLabels"] == MARKS["labels"]
    assert machine["nodeTaints"] == {"gpu": "yes:NoSchedule", "slow": ":PreferNoSchedule"}


def test_talos_fetches_the_gateway_api_where_the_configuration_says():
    url = "https://mirror.example.org/standard-install.yaml"
    platform = make_spec().platform.model_dump(mode="json")
    spec = make_spec(platform=platform | {"gateway": {"manifests": [url]}})
    control_plane, *_ = render_patches(spec, root=Path()).control_plane
    assert YAML(typ="safe").load(control_plane)["cluster"]["extraManifests"] == [url]
    control_plane, *_ = render_patches(make_spec(), root=Path()).control_plane
    assert "extraManifests" not in YAML(typ="safe").load(control_plane)["cluster"]


def test_longhorn_gets_its_data_path_into_the_kubelet():
    def kubelet(*, enabled: bool) -> dict[str, Any]:
        longhorn = {"name": "longhorn", "version": "1.11.2", "enabled": enabled}
        everywhere, *_ = render_patches(make_spec(platform={"components": [longhorn]}), root=Path()).all
        return dict(YAML(typ="safe").load(everywhere)["machine"]["kubelet"])

    assert "extraMounts" not in kubelet(enabled=False)
    [mount] = kubelet(enabled=True)["extraMounts"]
    assert (mount["destination"], mount["options"]) == ("/var/lib/longhorn", ["bind", "rshared", "rw"])
    values = YAML(typ="safe").load((PLATFORM / "infrastructure/longhorn/base/values.yaml").read_text())
    assert values["defaultSettings"]["defaultDataPath"] == mount["destination"]


CARDS = {
    "nothing said: no DHCP, no address": ({}, {"dhcp": False}),
    "an address and an MTU": (
        {"addresses": "10.40.0.21-10.40.0.40", "mtu": 9000},
        {"dhcp": False, "addresses": ["10.40.0.21/24"], "mtu": 9000},
    ),
    "another prefix": (
        {"addresses": "10.40.0.21-10.40.0.40", "prefix_length": 16},
        {"dhcp": False, "addresses": ["10.40.0.21/16"]},
    ),
    "DHCP comes second": ({"dhcp": True}, {"dhcp": True, "dhcpOptions": {"routeMetric": 2048}}),
}


@pytest.mark.parametrize(("said", "expected"), CARDS.values(), ids=CARDS.keys())
def test_a_further_card_always_has_a_config_and_never_a_second_default_route(said, expected):
    pools = make_spec(workers=2).model_dump(mode="json")["node_pools"]
    nics = [{"name": "storage", "bridge": "vmbr1", **said}]
    spec = make_spec(
        workers=2, node_pools=[pool | ({"nics": nics} if pool["role"] == "worker" else {}) for pool in pools]
    )
    first, second = spec.workers
    patches = render_patches(spec, root=Path()).node
    own, other = (
        YAML(typ="safe").load(patches[node.name][0])["machine"]["network"]["interfaces"] for node in (first, second)
    )
    assert len(own) == len(other) == 2
    selector = own[1].pop("deviceSelector")["hardwareAddr"]
    assert selector == mac_of(spec, first, first.nics[0])
    assert selector != other[1]["deviceSelector"]["hardwareAddr"]
    assert own[1] == expected
    if "addresses" in said:
        assert other[1]["addresses"][0].startswith("10.40.0.22/")


def volumes(*disks: dict[str, Any]) -> list[dict[str, Any]]:
    """What a worker with these data disks is told about them."""
    pools = make_spec().model_dump(mode="json")["node_pools"]
    given = [{"size_gib": 10, **disk} for disk in disks]
    spec = make_spec(node_pools=[pool | ({"data_disks": given} if pool["role"] == "worker" else {}) for pool in pools])
    documents = [YAML(typ="safe").load(patch) for patch in render_patches(spec, root=Path()).node[spec.workers[0].name]]
    return [dict(one) for one in documents if one.get("kind") == "UserVolumeConfig"]


def test_a_data_disk_with_a_filesystem_is_a_volume_of_its_name():
    [volume] = volumes({"name": "data", "filesystem": "ext4"})
    assert (volume["name"], volume["filesystem"]) == ("data", {"type": "ext4"})
    assert volume["provisioning"]["grow"] is True
    assert "encryption" not in volume


def test_each_is_found_by_its_place_on_the_bus_or_by_its_serial():
    """The place is what Terraform gives it: the system disk is scsi0, the first data disk scsi1."""
    raw, other = {"name": "ceph", "filesystem": "raw"}, {"name": "a-name-beyond-the-serial", "filesystem": "xfs"}
    [volume] = volumes(raw, other)
    by_id = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_"
    assert volume["provisioning"]["diskSelector"]["match"] == (
        f"'{by_id}drive-scsi2' in disk.symlinks || '{by_id}a-name-beyond-the-se' in disk.symlinks"
    )


def test_a_volume_is_encrypted_where_that_is_chosen():
    [volume] = volumes({"name": "data", "filesystem": "xfs", "encryption": "node-id"})
    assert volume["encryption"] == {"provider": "luks2", "keys": [{"slot": 0, "nodeID": {}}]}


def test_a_disk_that_nothing_is_said_about_is_left_alone():
    assert volumes({"name": "data"}) == []
