"""Life of guests."""

import pytest

from infraflux_lab.proxmox.machines import machine_of

from .conftest import Pve

GIB = 1024**3


def test_an_id_is_taken_on_every_host(pve: Pve) -> None:
    pve.guest()
    answer = pve.call("POST", "/nodes/h2/qemu", vmid=100)
    assert (answer.status, answer.reason) == (500, "unable to create VM 100 - VM 100 already exists on node 'h1'")
    taken = pve.call("GET", "/cluster/nextid", vmid=100)
    assert taken.errors == {"vmid": "VM 100 already exists"}
    assert pve.ok("GET", "/cluster/nextid") == "101"


def test_gone_is_said_in_the_words_clients_know(pve: Pve) -> None:
    answer = pve.call("GET", "/nodes/h1/qemu/100/config")
    assert (answer.status, answer.reason) == (500, "Configuration file 'nodes/h1/qemu-server/100.conf' does not exist")


def test_failed_creation_leaves_nothing(pve: Pve) -> None:
    upid = pve.call("POST", "/nodes/h1/qemu", vmid=100, scsi0="lvm:50", scsi1="lvm:60").data
    assert "free space in thin pool" in pve.end(upid)
    assert pve.volumes() == []
    assert pve.call("GET", "/nodes/h1/qemu/100/config").status == 500


def test_import_takes_size_and_lineage_of_the_image(pve: Pve) -> None:
    _image(pve)
    pve.guest(scsi0="file=lvm:0,import-from=local:import/talos.raw,format=raw", name="cp-1")
    assert pve.config()["scsi0"] == "lvm:vm-100-disk-0,size=2G"
    pve.ok("PUT", "/nodes/h1/qemu/100/resize", disk="scsi0", size=str(20 * GIB))
    assert pve.config()["scsi0"] == "lvm:vm-100-disk-0,size=20G"
    disk = machine_of(pve.sim.cluster, pve.sim.cluster.guests[100]).disks[0]
    assert (disk.interface, disk.size_bytes, disk.image) == ("scsi0", 20 * GIB, "local:import/talos.raw")


def _image(pve: Pve) -> None:
    from infraflux_lab.proxmox.model import Volume  # noqa: PLC0415 - only here

    pve.sim.cluster.save_volume(
        Volume(
            volid="local:import/talos.raw", node="h1", content="import", format="raw", size=1024, virtual_size=2 * GIB
        )
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [("1G", "shrinking disks is not supported"), ("+200G", "")],
    ids=["smaller", "more than there is"],
)
def test_resize_refusals(pve: Pve, size: str, text: str) -> None:
    pve.guest(scsi0="lvm:8")
    answer = pve.call("PUT", "/nodes/h1/qemu/100/resize", disk="scsi0", size=size)
    outcome = answer.reason if answer.status == 500 else pve.end(answer.data)
    assert (text or "free space in thin pool") in outcome
    assert "size=8G" in pve.config()["scsi0"]


def test_a_detached_disk_stays_until_it_is_deleted(pve: Pve) -> None:
    pve.guest(scsi0="lvm:8", scsi1="lvm:1")
    pve.ok("PUT", "/nodes/h1/qemu/100/config", delete="scsi1")
    assert pve.config()["unused0"] == "lvm:vm-100-disk-1"
    pve.ok("PUT", "/nodes/h1/qemu/100/config", delete="unused0")
    assert pve.volumes() == ["lvm:vm-100-disk-0"]


def test_pending_changes_wait_for_a_restart(pve: Pve) -> None:
    pve.guest(cores=2, tags="old")
    pve.power("start")
    pve.ok("PUT", "/nodes/h1/qemu/100/config", cores=4, tags="new")
    assert (pve.config()["cores"], pve.config(current=1)["cores"]) == (4, 2)
    assert pve.config(current=1)["tags"] == "new"
    assert {"key": "cores", "value": 2, "pending": 4} in pve.ok("GET", "/nodes/h1/qemu/100/pending")
    pve.power("reboot")
    assert pve.config(current=1)["cores"] == 4


def test_power_is_told_in_order(pve: Pve) -> None:
    pve.guest(name="cp-1", smbios1="uuid=AAAAAAAA-0000-4000-8000-000000000001", ipconfig0="ip=10.0.0.5/24,gw=10.0.0.1",
              net0="virtio,bridge=vmbr0")  # fmt: skip
    for verb in ("start", "reboot", "reset", "stop"):
        pve.power(verb)
    pve.ok("DELETE", "/nodes/h1/qemu/100")
    assert pve.watcher.kinds == ["on", "off", "on", "off", "on", "off", "deleted"]
    machine = pve.watcher.seen[0][1]
    assert (machine.key, machine.name, machine.uuid) == ("t/100", "cp-1", "aaaaaaaa-0000-4000-8000-000000000001")
    assert (machine.address, machine.nics[0].gateway, machine.nics[0].prefix_length) == ("10.0.0.5", "10.0.0.1", 24)


START_REFUSALS = {
    "more processors than the host": ({"cores": 9}, "MAX 8 vcpus allowed per VM on this node"),
    "more memory than the host": ({"memory": 16384}, "Cannot allocate memory"),
    "a bridge that is not there": ({"net0": "virtio,bridge=vmbr9"}, "bridge 'vmbr9' does not exist"),
}


@pytest.mark.parametrize(("options", "text"), START_REFUSALS.values(), ids=START_REFUSALS)
def test_start_refused(pve: Pve, options: dict[str, object], text: str) -> None:
    pve.guest(**options)
    upid = pve.call("POST", "/nodes/h1/qemu/100/status/start").data
    assert text in pve.end(upid)
    assert pve.status() == "stopped"


def test_memory_of_a_host_runs_out(pve: Pve) -> None:
    for vm_id in (100, 101):
        pve.guest(vm_id, memory=8192)
    pve.power("start", 100)
    assert "Cannot allocate memory" in pve.end(pve.call("POST", "/nodes/h1/qemu/101/status/start").data)


def test_delete_wants_the_guest_off_and_unprotected(pve: Pve) -> None:
    pve.guest(protection=1, scsi0="lvm:1")
    assert "protection mode enabled" in pve.call("DELETE", "/nodes/h1/qemu/100").reason
    pve.ok("PUT", "/nodes/h1/qemu/100/config", protection=0)
    pve.power("start")
    assert pve.call("DELETE", "/nodes/h1/qemu/100").reason == "VM 100 is running - destroy failed"
    pve.power("stop")
    pve.ok("DELETE", "/nodes/h1/qemu/100")
    assert pve.volumes() == []


def test_migration_takes_disks_along(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1")
    pve.power("start")
    assert "--online" in pve.call("POST", "/nodes/h1/qemu/100/migrate", target="h2").reason
    pve.ok("POST", "/nodes/h1/qemu/100/migrate", **{"target": "h2", "online": 1, "with-local-disks": 1})
    assert pve.status(node="h2") == "running"
    assert (pve.volumes(), pve.volumes(node="h2")) == ([], ["lvm:vm-100-disk-0"])


def test_a_clone_has_its_own_disks_and_identity(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1", ide2="lvm:cloudinit", net0="virtio,bridge=vmbr0", name="golden")
    pve.ok("POST", "/nodes/h1/qemu/100/clone", newid=200, name="copy", target="h2")
    copy, original = pve.config(200, "h2"), pve.config()
    assert copy["scsi0"] == "lvm:vm-200-disk-0,size=1G"
    assert copy["ide2"] == "lvm:vm-200-cloudinit,media=cdrom,size=4M"
    assert all(copy[key] != original[key] for key in ("net0", "smbios1", "vmgenid", "name"))


def test_move_disk(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1")
    pve.ok("POST", "/nodes/h1/qemu/100/move_disk", disk="scsi0", storage="lvm2", delete=1)
    assert pve.config()["scsi0"] == "lvm2:vm-100-disk-0,size=1G"
    assert pve.volumes() == []
    again = pve.call("POST", "/nodes/h1/qemu/100/move_disk", disk="scsi0", storage="lvm2")
    assert again.reason == "you can't move to the same storage with same format"


def test_pools(pve: Pve) -> None:
    pve.ok("POST", "/pools", poolid="a", comment="one")
    pve.ok("POST", "/pools", poolid="b")
    pve.guest(pool="a")
    assert "pool 'a' already exists" in pve.call("POST", "/pools", poolid="a").reason
    assert "is not empty" in pve.call("DELETE", "/pools", poolid="a").reason
    assert "allow-move" in pve.call("PUT", "/pools", poolid="b", vms="100").reason
    pve.ok("PUT", "/pools", **{"poolid": "b", "vms": "100", "allow-move": 1})
    members = pve.ok("GET", "/pools", poolid="b")[0]["members"]
    assert [(row["vmid"], row["type"]) for row in members] == [(100, "qemu")]
    pve.ok("DELETE", "/pools", poolid="a")
    pve.ok("DELETE", "/nodes/h1/qemu/100")
    assert pve.ok("GET", "/pools", poolid="b")[0]["members"] == []


def test_change_for_another_version_is_refused(pve: Pve) -> None:
    pve.guest()
    digest = pve.config()["digest"]
    pve.ok("PUT", "/nodes/h1/qemu/100/config", cores=2, digest=digest)
    answer = pve.call("PUT", "/nodes/h1/qemu/100/config", cores=3, digest=digest)
    assert answer.reason == "checksum mismatch (file change by other user?)"


AGENT = {
    "not configured": ({}, "No QEMU guest agent configured"),
    "not running": ({"agent": "enabled=1"}, "VM 100 is not running"),
}


@pytest.mark.parametrize(("options", "text"), AGENT.values(), ids=AGENT)
def test_agent(pve: Pve, options: dict[str, str], text: str) -> None:
    pve.guest(**options)
    assert pve.call("GET", "/nodes/h1/qemu/100/agent/network-get-interfaces").reason == text


def test_agent_of_a_running_guest_tells_its_addresses(pve: Pve) -> None:
    pve.guest(agent="1", net0="virtio=BC:24:11:00:00:01,bridge=vmbr0", ipconfig0="ip=127.77.1.11/24,gw=127.77.1.1")
    pve.power("start")
    loopback, card = pve.ok("GET", "/nodes/h1/qemu/100/agent/network-get-interfaces")["result"]
    assert loopback["name"] == "lo"
    assert card["hardware-address"].lower() == "bc:24:11:00:00:01"
    assert [one["ip-address"] for one in card["ip-addresses"]] == ["127.77.1.11", "2001:db8::64:0"]
    assert pve.call("POST", "/nodes/h1/qemu/100/agent/ping").reason == "QEMU guest agent is not running"


def test_everything_survives(pve: Pve) -> None:
    pve.ok("POST", "/pools", poolid="p")
    pve.guest(scsi0="lvm:1", pool="p")
    upid = pve.power("start")
    before = (pve.config(), pve.volumes(), pve.status(), pve.ok("GET", "/pools", poolid="p"))
    pve.reopen()
    assert (pve.config(), pve.volumes(), pve.status(), pve.ok("GET", "/pools", poolid="p")) == before
    assert pve.ok("GET", f"/nodes/h1/tasks/{upid}/status")["exitstatus"] == "OK"


def test_tasks_of_one_machine_wait_for_each_other(pve: Pve) -> None:
    pve.guest()
    pve.fault("slow-task", times=None, seconds="0.05")
    starts = [pve.call("POST", "/nodes/h1/qemu/100/status/start").data for _ in range(2)]
    stop = pve.call("POST", "/nodes/h1/qemu/100/status/stop").data
    assert [pve.end(upid) for upid in (*starts, stop)] == ["OK", "VM 100 already running", "OK"]
    assert pve.watcher.kinds == ["on", "off"]
