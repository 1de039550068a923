"""Reboot, upgrade, shutdown and reset through the real talosctl, which follows each to its end."""

import json

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.tools]

SCHEMATIC = "cd" * 32
NEWER = f"factory.talos.dev/nocloud-installer/{SCHEMATIC}:v1.14.0"


def boot_id(world, number):
    return world.talosctl("read", "/proc/sys/kernel/random/boot_id", node=number).out.strip()


def server_version(world, number):
    resource = json.loads(world.talosctl("get", "version", "-o", "json", node=number).out)
    return resource["spec"]["version"]


def test_reboot_waits_until_the_machine_is_back(world):
    world.cluster(control_planes=1, workers=1)
    for number in (21, 11):
        before = boot_id(world, number)
        answer = world.talosctl("reboot", "--timeout=50s", node=number)
        assert "post check passed" in answer.text
        assert boot_id(world, number) != before


def test_upgrade(world):
    """Image pull, installer, reboot: the new version and schematic run, the configuration stays."""
    world.cluster(control_planes=1, workers=1)
    answer = world.talosctl("upgrade", "--image", NEWER, "--drain=false", "--timeout=50s", node=21)
    assert "upgrade completed" in answer.text
    assert server_version(world, 21) == "v1.14.0"
    assert SCHEMATIC in world.talosctl("get", "extensions", node=21).out
    assert server_version(world, 11) == "v1.13.9"


def test_legacy_upgrade(world):
    world.cluster(control_planes=1, workers=0)
    world.talosctl("upgrade", "--legacy", "--image", NEWER, "--timeout=50s", node=11)
    assert server_version(world, 11) == "v1.14.0"


def test_legacy_upgrade_of_two_control_planes_would_cost_the_quorum(world):
    world.cluster(control_planes=2, workers=0)
    refused = world.talosctl("upgrade", "--legacy", "--image", NEWER, "--wait=false", node=11, check=False)
    assert "insufficient to maintain quorum" in refused.text
    assert server_version(world, 11) == "v1.13.9"


def test_upgrade_refuses_an_image_without_a_version(world):
    world.cluster(control_planes=1, workers=0)
    refused = world.talosctl(
        "upgrade", "--image", "example.org/installer:latest", "--drain=false", node=11, check=False
    )
    assert refused.code != 0
    assert "no version tag" in refused.text


def test_version_stays_old(world):
    world.cluster(control_planes=1, workers=0)
    world.faults.add("version-stays-old", "test/11")
    world.talosctl("upgrade", "--image", NEWER, "--drain=false", "--timeout=50s", node=11)
    assert server_version(world, 11) == "v1.13.9"


def test_shutdown(world):
    world.cluster(control_planes=1, workers=1)
    world.talosctl("shutdown", "--wait=false", node=21)
    world.until(lambda: "test/21" not in world.power.on, "power off")
    world.until(lambda: "node-21" in world.kubernetes.only.down, "node NotReady")
    assert "connection refused" in world.talosctl("version", node=21, check=False).text


def test_reset_and_reboot_ends_in_maintenance(world):
    world.cluster(control_planes=1, workers=1)
    world.talosctl("reset", "--reboot", "--timeout=50s", node=21)
    world.until(lambda: world.stage(21) == "maintenance", "maintenance again")
    assert world.talosctl("get", "disks", "--insecure", node=21).code == 0
    assert "node-21" not in world.talosctl("get", "members", node=11).out
    world.apply(21, "worker")
    world.until(lambda: world.ready(21), "worker again")


def test_reset_of_one_of_three_leaves_etcd(world):
    world.cluster(control_planes=3, workers=0)
    world.talosctl("reset", "--timeout=50s", node=13)
    world.until(lambda: "test/13" not in world.power.on, "power off")
    members = world.talosctl("etcd", "members", node=11).out
    assert members.count("node-") == 2
    assert "node-13" not in members


def test_last_member_cannot_leave_gracefully(world):
    world.cluster(control_planes=1, workers=0)
    refused = world.talosctl("reset", "--timeout=20s", node=11, check=False)
    assert refused.code != 0
    (failed,) = [event for event in world.log.events if event["kind"] == "reset-failed"]
    assert "not enough started members" in failed["error"]
    assert world.kubernetes.only.etcd.data


def test_reset_of_the_last_control_plane_takes_the_data(world):
    world.cluster(control_planes=1, workers=0)
    world.talosctl("reset", "--graceful=false", "--reboot", "--timeout=50s", node=11)
    world.until(lambda: world.stage(11) == "maintenance", "maintenance again")
    world.until(lambda: "etcd-data-gone" in world.log.kinds(), "data gone")
    assert not world.kubernetes.only.etcd.data
    world.apply(11, "controlplane")
    world.talosctl("bootstrap", node=11)
    world.until(lambda: world.ready(11), "a new cluster")


def test_reset_of_named_partitions_keeps_the_system(world):
    """STATE holds the configuration; what is installed stays, upgrades included."""
    world.cluster(control_planes=1, workers=1)
    world.talosctl("upgrade", "--image", NEWER, "--drain=false", "--timeout=50s", node=21)
    words = ("reset", "--reboot", "--system-labels-to-wipe=STATE", "--system-labels-to-wipe=EPHEMERAL")
    world.talosctl(*words, "--timeout=50s", node=21)
    world.until(lambda: world.stage(21) == "maintenance", "maintenance again")
    assert "v1.14.0" in world.talosctl("version", "--insecure", node=21).text


@pytest.mark.parametrize("mode", ["auto", "reboot", "staged", "no-reboot"])
def test_apply_modes(world, tmp_path, mode):
    """What takes effect when: at once, by a reboot, or at the next one."""
    world.cluster(control_planes=1, workers=1)
    path = tmp_path / "changed.yaml"
    text = (world.generated / "worker.yaml").read_text()
    path.write_text(text.replace("debug: false", "debug: true", 1))
    before = boot_id(world, 21)
    world.talosctl("apply-config", "--mode", mode, "--file", str(path), node=21)
    if mode == "reboot":
        world.until(lambda: world.log.kinds().count("booted") == 5, "reboot")
        world.until(lambda: world.ready(21), "ready")
    assert (boot_id(world, 21) != before) is (mode == "reboot")
    assert ("debug: true" in active(world, 21)) is (mode != "staged")
    assert "debug: true" in active(world, 21, name="persistent")
    if mode == "staged":
        world.talosctl("reboot", "--timeout=50s", node=21)
        assert "debug: true" in active(world, 21)


def active(world, number, *, name="v1alpha1"):
    return json.loads(world.talosctl("get", "machineconfig", name, "-o", "json", node=number).out)["spec"]


def test_change_that_needs_a_reboot(world, tmp_path):
    world.cluster(control_planes=1, workers=1)
    path = tmp_path / "changed.yaml"
    text = (world.generated / "worker.yaml").read_text()
    path.write_text(text.replace("diskQuotaSupport: true", "diskQuotaSupport: false", 1))
    assert path.read_text() != text
    refused = world.talosctl("apply-config", "--mode=no-reboot", "--file", str(path), node=21, check=False)
    assert "can't be applied in immediate mode" in refused.text
    before = boot_id(world, 21)
    answer = world.talosctl("apply-config", "--file", str(path), node=21)
    assert "with a reboot" in answer.text
    world.until(lambda: world.log.kinds().count("booted") == 5 and world.ready(21), "reboot")
    assert boot_id(world, 21) != before


def test_try_mode_rolls_back(world, tmp_path):
    world.cluster(control_planes=1, workers=1)
    path = tmp_path / "changed.yaml"
    path.write_text((world.generated / "worker.yaml").read_text().replace("debug: false", "debug: true", 1))
    answer = world.talosctl("apply-config", "--mode=try", "--timeout=2s", "--file", str(path), node=21)
    assert "automatically reverted" in answer.text
    assert "debug: true" in active(world, 21)
    world.until(lambda: "config-rolled-back" in world.log.kinds(), "rollback")
    assert "debug: false" in active(world, 21)
