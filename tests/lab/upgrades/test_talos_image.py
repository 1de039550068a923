"""Another schematic on nodes that stand: planned, rolled out, proven by talosctl; a node that falls back stops it."""

import json
from collections.abc import Mapping

import pytest
from labkit.standing_site import Site

from infraflux.adapters.talos.documents import parse_documents
from infraflux.adapters.talos.talosctl import json_documents
from infraflux.config.models import Role
from infraflux.drift.findings import DriftVerdict, Layer
from infraflux.drift.system_image import wanted_image
from infraflux.operations.drift_fleet import check_fleet
from infraflux.operations.rollout import RolloutStopped
from infraflux.render.talos import installer_image

pytestmark = [pytest.mark.lab, pytest.mark.tools]

KEY = "dev/dev-1"


def extensions(site: Site) -> Mapping[str, dict[str, str]]:
    """By node: version by name of what its image lists."""
    found = {}
    for node in site.nodes:
        said = json_documents(site.talosctl(node, "get", "extensions", "-o", "json"))
        listed = [one["spec"]["metadata"] for one in said]
        found[node.name] = {one["name"]: one["version"] for one in listed}
    return found


def boots(site: Site) -> dict[str, str]:
    return {node.name: site.talosctl(node, "read", "/proc/sys/kernel/random/boot_id") for node in site.nodes}


def with_extension(name: str, site: Site) -> None:
    names = ["siderolabs/qemu-guest-agent", name]
    site.edit(lambda it: it.setdefault("image", {}).update(schematic={"extensions": names}))


def test_an_extension_reaches_every_node_one_after_the_other(site: Site) -> None:
    before = boots(site)
    with_extension("siderolabs/iscsi-tools", site)
    spec = site.open().spec
    [report] = check_fleet(site.project.root, [KEY], layers=[Layer.TALOS])
    assert report.verdict is DriftVerdict.DRIFTED
    drifted = {one.object for one in report.findings if one.field == "extensions"}
    assert drifted == {node.name for node in spec.nodes}
    assert all("upgrade Talos" in one.note for one in report.findings if one.field == "extensions")

    planned = site.rows("talos")
    assert [name for _kind, name, _change in planned] == [node.name for node in spec.nodes]
    assert all(change.endswith(", + iscsi-tools") for _kind, _name, change in planned)
    site.deploy()

    wanted = wanted_image(spec)
    for name, listed in extensions(site).items():
        assert listed["schematic"] == wanted.schematic, name
        assert "iscsi-tools" in listed, name
    after = boots(site)
    assert all(after[name] != boot for name, boot in before.items())
    assert not any(one["spec"].get("unschedulable") for one in site.objects("nodes"))
    for node in spec.nodes:
        live = json.loads(site.talosctl(node, "get", "machineconfig", "v1alpha1", "-o", "json"))["spec"]
        assert parse_documents(live)["v1alpha1"]["machine"]["install"]["image"] == installer_image(spec)
    assert site.rows("talos", "config") == []
    [report] = check_fleet(site.project.root, [KEY], layers=[Layer.TALOS])
    assert report.verdict is DriftVerdict.CLEAN, report


def test_the_order_is_control_planes_first_and_etcd_is_whole_around_each(site: Site) -> None:
    """Read from the lab's own log of the test before: who booted another image, in order."""
    staged = [one["name"] for one in site.project.events(kind="upgrade-staged")]
    planes = [node.name for node in site.nodes if node.role is Role.CONTROL_PLANE]
    workers = [node.name for node in site.nodes if node.role is Role.WORKER]
    assert sorted(staged[:3]) == planes
    assert staged[3:5] == workers


def test_a_node_that_boots_its_old_image_again_stops_the_rest(site: Site) -> None:
    second = site.nodes[3]
    with_extension("siderolabs/gvisor", site)
    site.project.fault("version-stays-old", target=second.name, times=1)
    with pytest.raises(RolloutStopped, match=f"{second.name}.*went back to the image it had.*not touched") as stopped:
        site.deploy()
    assert site.nodes[4].name in str(stopped.value)
    assert [name for _kind, name, _change in site.rows("talos")] == [second.name, site.nodes[4].name]
    [node] = [one for one in site.objects("nodes") if one["metadata"]["name"] == second.name]
    assert node["spec"]["unschedulable"] is True
    site.deploy()
    assert site.rows("talos") == []
    assert all("gvisor" in listed for listed in extensions(site).values())


def test_an_installer_that_fails_leaves_the_node_as_it_is(site: Site) -> None:
    last = site.nodes[4]
    with_extension("siderolabs/drbd", site)
    site.project.fault("installer-fails", target=last.name, times=1)
    with pytest.raises(RolloutStopped, match="exit code 1"):
        site.deploy()
    assert [name for _kind, name, _change in site.rows("talos")] == [last.name]
    site.deploy()
    assert site.rows("talos") == []
