"""Each fault, as its victim sees it."""

import json

import pytest

from infraflux_lab.talos.context import SOURCE

pytestmark = [pytest.mark.lab, pytest.mark.tools]


def test_never_boots(world):
    world.faults.add("never-boots", "test/12", times=None)
    world.boot(11)
    world.power.add(make(world, 12))
    world.run(world.power.start("test/12"))
    world.until(lambda: {"source": SOURCE, "kind": "fault"}.items() <= world.log.events[-1].items(), "fault")
    dark = world.talosctl("version", "--insecure", node=12, check=False)
    assert "connection refused" in dark.text
    world.faults.clear()
    world.run(world.power.guest_reboot("test/12"))
    world.until(lambda: world.stage(12) == "maintenance", "boots after all")


def make(world, number):
    known = next(iter(world.power.machines.values()))
    return type(known)(**{**vars(known), "vm_id": number, "name": f"node-{number}", "nics": [nic(known, number)]})


def nic(known, number):
    first = known.nics[0]
    address = first.address.rsplit(".", 1)[0] + f".{number}"
    return type(first)(mac=f"BC:24:11:00:01:{number:02X}", bridge="vmbr0", address=address)


def test_wrong_identity(world):
    world.faults.add("wrong-identity", "test/11")
    world.boot(11)
    system = json.loads(world.talosctl("get", "systeminformation", "--insecure", "-o", "json", node=11).out)
    link = json.loads(world.talosctl("get", "links", "--insecure", "-o", "json", node=11).out)
    known = world.power.machines["test/11"]
    assert system["spec"]["uuid"] != known.uuid
    assert link["spec"]["hardwareAddr"] != known.nics[0].mac.lower()


def test_apply_refused_once(world):
    world.boot(11)
    world.faults.add("apply-refused", "test/11", message="the disk is too small")
    path = str(world.config_path("controlplane", 11))
    refused = world.talosctl("apply-config", "--insecure", "--file", path, node=11, check=False)
    assert "InvalidArgument" in refused.text
    assert "the disk is too small" in refused.text
    world.apply(11, "controlplane")


def test_reboot_that_never_returns(world):
    world.cluster(control_planes=1, workers=1)
    world.faults.add("reboot-never-returns", "test/21")
    world.talosctl("reboot", "--wait=false", node=21)
    world.until(lambda: "node-21" in world.kubernetes.only.down, "gone")
    assert "connection refused" in world.talosctl("version", node=21, check=False).text
    assert "test/21" in world.power.on
    world.run(world.power.guest_reboot("test/21"))
    world.until(lambda: world.ready(21), "back by a power cycle")


def test_bootstrap_whose_answer_is_lost(world):
    """The work is done: asking again tells, and there is one etcd."""
    world.boot(11)
    world.apply(11, "controlplane")
    world.faults.add("bootstrap-race", "test/11")
    lost = world.talosctl("bootstrap", node=11, check=False)
    assert "Unavailable" in lost.text
    again = world.talosctl("bootstrap", node=11, check=False)
    assert "AlreadyExists" in again.text
    world.until(lambda: world.ready(11), "ready")
    assert world.kubernetes.only.starts == 1


def test_expired_client_certificate(world):
    world.cluster(control_planes=1, workers=0)
    world.faults.add("expired-client-cert", "test/11", times=None)
    refused = world.talosctl("version", node=11, check=False)
    assert "expired certificate" in refused.text
    world.faults.clear()
    assert world.talosctl("version", node=11).code == 0


def test_configuration_edited_out_of_band(world):
    world.cluster(control_planes=1, workers=1)
    world.edit(21, {"machine": {"sysctls": {"vm.swappiness": "1"}}})
    for name in ("v1alpha1", "persistent"):
        shown = json.loads(world.talosctl("get", "machineconfig", name, "-o", "json", node=21).out)
        assert "vm.swappiness" in shown["spec"]
    with pytest.raises(KeyError, match="no configured machine"):
        world.edit(99, {})
    with pytest.raises(ValueError, match="unknown keys"):
        world.edit(21, {"machine": {"sysctl": {}}})


def test_log_holds_no_secret(world):
    """Keys of the generated configuration appear nowhere in the lab's log."""
    world.cluster(control_planes=1, workers=1)
    text = (world.generated / "controlplane.yaml").read_text()
    secrets = [line.split("key: ")[1].strip() for line in text.splitlines() if " key: " in line and "#" not in line]
    logged = json.dumps(world.log.events)
    assert len(secrets) >= 4
    assert not any(secret in logged for secret in secrets)
