"""Which changes reach a running guest at once, and what the others wait for."""

import pytest

from infraflux_lab.proxmox.hotplug import reaches_running
from infraflux_lab.proxmox.machines import machine_of

from .conftest import Pve

CONFIG = "/nodes/h1/qemu/100/config"
RUNNING = {
    "cores": 2, "memory": "2048", "cpu": "host", "machine": "q35", "bios": "seabios", "ostype": "l26", "agent": "1",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "scsi0": "lvm:vm-100-disk-0,size=8G",
    "ide2": "local:iso/x.iso,media=cdrom", "sata0": "lvm:vm-100-disk-1,size=1G", "scsihw": "virtio-scsi-pci",
}  # fmt: skip
# option: new value, extra configuration, whether it is there at once
CHANGES = {
    "cores wait": ("cores", 4, {}, False),
    "memory waits": ("memory", "4096", {}, False),
    "memory with hotplug does not": ("memory", "4096", {"hotplug": "memory,disk"}, True),
    "CPU type waits": ("cpu", "x86-64-v3", {}, False),
    "machine waits": ("machine", "pc", {}, False),
    "firmware waits": ("bios", "ovmf", {}, False),
    "controller waits": ("scsihw", "virtio-scsi-single", {}, False),
    "agent waits": ("agent", "0", {}, False),
    "trimming after a clone does not": ("agent", "1,fstrim_cloned_disks=1", {}, True),
    "a passed-through device waits": ("hostpci0", "mapping=gpu", {}, False),
    "numa waits": ("numa", 1, {}, False),
    "vcpus wait": ("vcpus", 1, {}, False),
    "vcpus with hotplug do not": ("vcpus", 1, {"hotplug": "cpu"}, True),
    "name": ("name", "b", {}, True),
    "tags": ("tags", "b", {}, True),
    "description": ("description", "b", {}, True),
    "start at boot": ("onboot", 1, {}, True),
    "CPU weight": ("cpuunits", 50, {}, True),
    "ballooning within its device": ("balloon", 1024, {"balloon": 512}, True),
    "the balloon device itself waits": ("balloon", 0, {}, False),
    "cloud-init options": ("ipconfig0", "ip=192.0.2.9/24", {}, True),
    "another card model is plugged": ("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0", {}, True),
    "without network hotplug it waits": ("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0", {"hotplug": "disk"}, False),
    "a VLAN needs no plugging": ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7", {"hotplug": "0"}, True),
    "a new card waits without it": ("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr0", {"hotplug": "0"}, False),
    "a new SCSI disk is plugged": ("scsi1", "lvm:vm-100-disk-2,size=1G", {}, True),
    "a new SATA disk waits": ("sata1", "lvm:vm-100-disk-2,size=1G", {}, False),
    "an EFI disk waits": ("efidisk0", "lvm:vm-100-disk-2,size=4M", {}, False),
    "SSD emulation waits": ("scsi0", "lvm:vm-100-disk-0,size=8G,ssd=1", {}, False),
    "a bandwidth limit does not": ("scsi0", "lvm:vm-100-disk-0,size=8G,mbps=10", {}, True),
    "another CD": ("ide2", "none,media=cdrom", {}, True),
    "a SATA disk leaves at a stop": ("sata0", None, {}, False),
    "a SCSI disk leaves at once": ("scsi0", None, {}, True),
    "a USB device of Linux": ("usb0", "spice", {}, True),
    "a USB device of another system waits": ("usb0", "spice", {"ostype": "other"}, False),
    "hotplug itself": ("hotplug", "disk", {}, True),
    "hotplug of memory waits": ("hotplug", "memory", {}, False),
}


@pytest.mark.parametrize(("option", "value", "beside", "at_once"), CHANGES.values(), ids=CHANGES)
def test_change_of_a_running_guest(option: str, value: object, beside: dict[str, object], at_once: bool) -> None:
    assert reaches_running({**RUNNING, **beside}, option, value) is at_once


def hardware(pve: Pve) -> tuple[int, int]:
    machine = machine_of(pve.sim.cluster, pve.sim.cluster.guests[100])
    return machine.cores, machine.memory_mib


def with_pending(pve: Pve) -> None:
    pve.guest(cores=2, memory=1024, net0="virtio,bridge=vmbr0")
    pve.power("start")
    pve.ok("PUT", CONFIG, cores=4, memory=2048)
    assert {"key": "memory", "value": "1024", "pending": "2048"} in pve.ok("GET", "/nodes/h1/qemu/100/pending")
    assert hardware(pve) == (2, 1024)


# what happens: the hardware that the guest has then
APPLIED_BY = {
    "stop and start": (("stop", "start"), (4, 2048)),
    "shutdown and start": (("shutdown", "start"), (4, 2048)),
    "reboot of Proxmox": (("reboot",), (4, 2048)),
    "reset": (("reset",), (2, 1024)),
    "suspend and resume": (("suspend", "resume"), (2, 1024)),
}


@pytest.mark.parametrize(("verbs", "wanted"), APPLIED_BY.values(), ids=APPLIED_BY)
def test_what_applies_pending_changes(pve: Pve, verbs: tuple[str, ...], wanted: tuple[int, int]) -> None:
    with_pending(pve)
    for verb in verbs:
        pve.power(verb)
    assert pve.status() == "running"
    assert hardware(pve) == wanted
    assert any("pending" in row for row in pve.ok("GET", "/nodes/h1/qemu/100/pending")) is (wanted == (2, 1024))


def test_a_reboot_inside_the_guest_applies_nothing(pve: Pve) -> None:
    with_pending(pve)
    pve.runner.run(pve.sim.guests.power.restart_inside(pve.sim.cluster.guests[100]))
    pve.end(next(reversed(pve.sim.cluster.tasks)))
    assert pve.watcher.seen[-1][0] == "on"
    assert (pve.watcher.seen[-1][1].cores, pve.watcher.seen[-1][1].memory_mib) == (2, 1024)


def test_a_pending_change_can_be_taken_back(pve: Pve) -> None:
    with_pending(pve)
    pve.ok("PUT", CONFIG, revert="cores")
    pve.ok("PUT", CONFIG, memory=1024)
    assert not any("pending" in row for row in pve.ok("GET", "/nodes/h1/qemu/100/pending"))


def test_the_guest_reads_its_cloud_init_drive_and_no_options(pve: Pve) -> None:
    pve.guest(net0="virtio,bridge=vmbr0", ide2="lvm:cloudinit", ipconfig0="ip=192.0.2.1/24")
    pve.power("start")
    pve.ok("PUT", CONFIG, ipconfig0="ip=192.0.2.2/24")
    guest = pve.sim.cluster.guests[100]
    assert machine_of(pve.sim.cluster, guest).address == "192.0.2.1"
    row = {"key": "ipconfig0", "value": "ip=192.0.2.1/24", "pending": "ip=192.0.2.2/24"}
    assert row in pve.ok("GET", "/nodes/h1/qemu/100/cloudinit")
    pve.ok("PUT", "/nodes/h1/qemu/100/cloudinit")
    assert machine_of(pve.sim.cluster, guest).address == "192.0.2.2"


def test_a_disk_that_leaves_at_a_stop_stays_as_unused(pve: Pve) -> None:
    pve.guest(sata0="lvm:1", sata1="lvm:1")
    pve.power("start")
    pve.ok("PUT", CONFIG, delete="sata1")
    assert "unused0" not in pve.config(current=1)
    pve.power("stop")
    assert pve.config()["unused0"] == "lvm:vm-100-disk-1"
    assert pve.config()["boot"] == "order=sata0"


REFUSED = {
    "more balloon than memory": ({"balloon": 4096}, "balloon value too large (must be smaller than assigned memory)"),
    "boot from what is not there": ({"boot": "order=scsi7"}, "invalid bootorder: device 'scsi7' does not exist'"),
    "nothing at all": ({}, "no options specified"),
    "unknown option to delete": ({"delete": "colour"}, "Parameter verification failed."),
    "set and delete": ({"cores": 1, "delete": "cores"}, "Parameter verification failed."),
}


@pytest.mark.parametrize(("form", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(pve: Pve, form: dict[str, object], words: str) -> None:
    pve.guest()
    before = pve.config()
    assert pve.call("PUT", CONFIG, **form).reason == words
    assert pve.config() == before


def test_a_change_in_a_task_is_refused_at_once(pve: Pve) -> None:
    pve.guest()
    assert pve.call("POST", CONFIG, cores="many").status == 400
    assert pve.call("POST", CONFIG, args="-S").status == 500
    assert not any(task.kind == "qmconfig" for task in pve.sim.cluster.tasks.values())
    pve.ok("POST", CONFIG, cores=3)
    assert pve.call("POST", CONFIG, cores=2, background_delay=5).data is None, "done within the time that was given"
    assert pve.config()["cores"] == 2
