"""Resources of one machine: what is served in which mode, how versions grow, what a watch tells."""

from dataclasses import replace
from typing import Any

import pytest
from ruamel.yaml import YAML

from infraflux_lab.contracts import Disk, Machine, Nic
from infraflux_lab.talos.api_cosi import Shelf, _changes
from infraflux_lab.talos.bootstrap_manifests import nothing_to_fetch
from infraflux_lab.talos.content import Content
from infraflux_lab.talos.definitions import BY_TYPE, DEFINITIONS
from infraflux_lab.talos.hardware import disks, pretty_size
from infraflux_lab.talos.lifecycle import reported_identity
from infraflux_lab.talos.node import Node, Stage
from infraflux_lab.talos.proto import cosi_pb2
from infraflux_lab.talos.resources import snapshot
from infraflux_lab.talos.store import MachineRecord

SCHEMATIC = "ab" * 32
GIB = 1024**3


@pytest.fixture
def node() -> Node:
    machine = Machine(
        environment="dev",
        vm_id=100,
        name="cp-1",
        uuid="00000000-0000-4000-8000-000000000100",
        host="pve-1",
        cores=2,
        memory_mib=4096,
        disks=[
            Disk(interface="scsi1", size_bytes=50 * GIB, volume="x"),
            Disk(interface="scsi0", size_bytes=20 * GIB, volume="y", image="local:import/talos-v1.13.9.raw"),
        ],
        nics=[Nic(mac="BC:24:11:00:00:01", bridge="vmbr0", address="10.0.0.11")],
    )
    image = f"factory.talos.dev/nocloud-installer/{SCHEMATIC}:v1.13.9"
    record = MachineRecord(key=machine.key, version="v1.13.9", image=image)
    return Node(machine=machine, record=record)


def everything(node: Node, *extensions: str) -> list[Content]:
    return snapshot(node, cluster=None, schematics=lambda _: extensions, fetch_manifest=nothing_to_fetch)


def contents(node: Node, kind: str) -> list[Content]:
    every = snapshot(
        node, cluster=None, schematics=lambda _: ["siderolabs/qemu-guest-agent"], fetch_manifest=nothing_to_fetch
    )
    return [content for content in every if content.type == kind]


def spec(content: Content) -> Any:
    return content.spec


def test_identity_is_what_the_machine_reports(node: Node) -> None:
    (shown,) = contents(node, "SystemInformations.hardware.talos.dev")
    assert spec(shown)["uuid"] == node.machine.uuid
    (link,) = contents(node, "LinkStatuses.net.talos.dev")
    assert spec(link)["hardwareAddr"] == "bc:24:11:00:00:01"


def test_an_impostor_differs_in_both_and_is_always_the_same(node: Node) -> None:
    first, macs = reported_identity(node.machine, {})
    assert first != node.machine.uuid
    assert macs[0] != node.machine.nics[0].mac
    assert reported_identity(node.machine, {}) == (first, macs)
    assert reported_identity(node.machine, {"uuid": "u", "mac": "m"}) == ("u", ("m",))


def test_disks_are_named_by_their_order_and_the_imported_one_is_the_systems(node: Node) -> None:
    assert [(disk.id, disk.system, disk.size_bytes) for disk in disks(node)] == [
        ("sda", True, 20 * GIB),
        ("sdb", False, 50 * GIB),
    ]


@pytest.mark.parametrize(
    ("interface", "ssd", "rotational"),
    [("scsi0", True, False), ("scsi0", False, True), ("sata1", True, False), ("virtio0", False, True)],
)
def test_a_disk_is_solid_where_proxmox_says_so(node: Node, interface: str, ssd: bool, rotational: bool) -> None:
    disk = Disk(interface=interface, size_bytes=GIB, volume="x", ssd=ssd)
    node.machine = replace(node.machine, disks=[disk])
    assert [one.rotational for one in disks(node)] == [rotational]


def test_links_have_the_kernels_names(node: Node) -> None:
    """Platform nocloud boots with net.ifnames=0: a patch for `ens18` meets no link."""
    (link,) = contents(node, "LinkStatuses.net.talos.dev")
    assert link.id == "eth0"


@pytest.mark.parametrize(("size", "shown"), [(20 * GIB, "21 GB"), (5 * 10**9, "5.0 GB"), (512, "512 B")])
def test_pretty_size(size: int, shown: str) -> None:
    assert pretty_size(size) == shown


def test_extensions_come_from_the_schematic(node: Node) -> None:
    names = {spec(content)["metadata"]["name"] for content in contents(node, "ExtensionStatuses.runtime.talos.dev")}
    assert names == {"qemu-guest-agent", "schematic"}
    node.record.image = "local:import/talos-v1.13.9.raw"
    assert contents(node, "ExtensionStatuses.runtime.talos.dev") == []


def test_every_served_type_is_defined(node: Node) -> None:
    served = {
        content.type
        for content in snapshot(node, cluster=None, schematics=lambda _: [], fetch_manifest=nothing_to_fetch)
    }
    assert served <= set(BY_TYPE)


def test_no_alias_means_two_types() -> None:
    aliases = [alias for definition in DEFINITIONS for alias in set(definition.all_aliases)]
    # In Talos 1.13 these mean two as well: MachineStatus and ManifestStatus, StaticPod and StaticPodStatus.
    assert {alias for alias in aliases if aliases.count(alias) > 1} == {"ms", "sps"}


def test_versions_grow_with_the_content_and_a_watch_tells(node: Node) -> None:
    shelf = Shelf("boot")
    before = shelf.update(contents(node, "MachineStatuses.runtime.talos.dev"))
    assert shelf.update(contents(node, "MachineStatuses.runtime.talos.dev")) == before
    node.stage = Stage.MAINTENANCE
    after = shelf.update(contents(node, "MachineStatuses.runtime.talos.dev"))
    (event,) = _changes(before, after)
    assert event.event_type == cosi_pb2.UPDATED
    assert (event.old.metadata.version, event.resource.metadata.version) == ("1", "2")
    assert [event.event_type for event in _changes(after, {})] == [cosi_pb2.DESTROYED]
    assert [event.event_type for event in _changes({}, after)] == [cosi_pb2.CREATED]


@pytest.mark.parametrize("text", ["a: b\n", "a: b\n---\nkind: HostnameConfig\n", "# one\n\na: 'b '\n"])
def test_a_text_is_shown_as_a_yaml_string(text: str) -> None:
    content = Content(namespace="config", type="MachineConfigs.config.talos.dev", id="v1alpha1", proto=b"", spec=text)
    assert content.yaml.startswith("|")
    assert YAML(typ="safe", pure=True).load(content.yaml) == text
    assert replace(content, spec={"a": "b"}).yaml == "a: b\n"
