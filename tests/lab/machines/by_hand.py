"""Somebody who changes machines by hand: every kind of change that a Terraform plan could see, and some it cannot."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from proxmoxer import ProxmoxAPI

from infraflux.adapters.terraform.plan import Action

from .conftest import Project

ENVIRONMENT = "staging"
CP1, CP2, CP3, W1, W2, W3 = 20011, 20012, 20013, 20021, 20022, 20023
HOSTS_RULE, APART_RULE = "infraflux-staging-staging-1-hosts", "infraflux-staging-staging-1-control-planes"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One change behind Terraform's back."""

    name: str
    on: int | str
    """VM id, HA resource, rule, pool or image that it is done to."""
    seen: str
    """The attribute by which a plan shows it, `Action.CREATE` where it makes the thing again, empty where none does."""
    do: Callable[[ProxmoxAPI], object]


class Hands:
    """Somebody who changes things by hand."""

    def __init__(self, project: Project) -> None:
        self._project, self.client = project, project.client(ENVIRONMENT, 2)

    def act(self, action: str, **params: str) -> Callable[[ProxmoxAPI], object]:
        return lambda _: self._project.act(action, environment=ENVIRONMENT, **params)

    def guest(self, vm_id: int) -> Any:
        host = next(row["node"] for row in self.client.cluster.resources.get(type="vm") if row["vmid"] == vm_id)
        return self.client.nodes(host).qemu(vm_id)

    def edit(self, kind: str, vm_id: int, seen: str, **options: str) -> Kind:
        return Kind(name=kind, on=vm_id, seen=seen, do=self.act("edit-vm", vm=str(vm_id), **options))

    def flag(self, option: str, vm_id: int, seen: str, old: str, new: str) -> Kind:
        """Change one part of an option, such as a flag of a disk."""

        def do(_: ProxmoxAPI) -> None:
            text = str(self.guest(vm_id).config.get()[option])
            assert old in text
            self._project.act("edit-vm", environment=ENVIRONMENT, vm=str(vm_id), **{option: text.replace(old, new)})

        return Kind(name=f"{option} {old} -> {new}", on=vm_id, seen=seen, do=do)

    def kinds(self) -> Iterator[Kind]:
        yield from self._identity()
        yield from self._hardware()
        yield from self._disks()
        yield from self._network()
        yield from self._shared_and_ha()
        yield from self._whole_machines()

    def _identity(self) -> Iterator[Kind]:
        tags = "control-plane;infraflux;infraflux-staging-staging-1"
        yield self.edit("name", CP1, "name", name="renamed")
        yield self.edit("description", CP1, "description", description="by hand")
        yield self.edit("tag added", CP1, "tags", tags=f"{tags};by-hand")
        yield self.edit("ownership tag lost", CP2, "tags", tags="control-plane")
        yield self.edit("start with the host", CP1, "on_boot", onboot="1")
        yield self.edit("protection", CP1, "protection", protection="1")
        yield self.edit("UUID", CP1, "smbios.uuid", smbios1="uuid=00000000-0000-4000-8000-000000000001")
        yield self.edit("start order", CP1, "startup.order", startup="order=9,up=15,down=0")
        yield self.edit("start pause", CP2, "startup.up_delay", startup="order=1,up=30,down=0")
        yield self.edit("stop pause", CP3, "startup.down_delay", startup="order=1,up=15,down=60")
        yield Kind(
            name="left the pool",
            on=CP2,
            seen="pool_id",
            do=lambda client: client.pools.put(poolid="infraflux-staging", vms=str(CP2), delete=1),
        )

    def _hardware(self) -> Iterator[Kind]:
        yield self.edit("cores", CP1, "cpu.cores", cores="3")
        yield self.edit("sockets", CP1, "cpu.sockets", sockets="2")
        yield self.edit("processor type", CP1, "cpu.type", cpu="host")
        yield self.edit("NUMA", CP1, "cpu.numa", numa="1")
        yield self.edit("processor limit", CP2, "cpu.limit", cpulimit="1")
        yield self.edit("processor affinity", CP2, "cpu.affinity", affinity="0")
        yield self.edit("processor shares", CP2, "", cpuunits="500")
        yield self.edit("memory", CP1, "memory.dedicated", memory="8192")
        yield self.edit("balloon", CP1, "memory.floating", balloon="1024")
        yield self.edit("huge pages", CP2, "memory.hugepages", hugepages="2")
        yield self.edit("machine type", CP1, "machine", machine="pc")
        yield self.edit("BIOS", CP1, "bios", bios="ovmf")
        yield self.edit("EFI disk", CP2, "efi_disk", efidisk0="local-lvm:1")
        yield self.edit("TPM", CP2, "", tpmstate0="local-lvm:1,version=v2.0")
        yield self.edit("SCSI controller", CP1, "scsi_hardware", scsihw="virtio-scsi-pci")
        yield self.edit("boot order", CP1, "boot_order", boot="order=net0")
        yield self.edit("tablet", CP1, "tablet_device", tablet="1")
        yield self.edit("system type", CP1, "operating_system.type", ostype="other")
        yield self.edit("agent off", CP1, "agent.enabled", agent="enabled=0")
        yield self.edit("agent of another kind", CP2, "agent.type", agent="enabled=1,type=isa")
        yield self.edit("passed-through device", CP1, "hostpci", hostpci0="mapping=gpu")
        yield self.edit("console removed", CP1, "serial_device", delete="serial0")
        yield self.edit("second console", CP2, "serial_device", serial1="socket")
        yield self.edit("keyboard", CP1, "keyboard_layout", keyboard="de")
        yield self.edit("ACPI", CP1, "acpi", acpi="0")
        yield self.edit("display", CP1, "", vga="none")
        yield self.edit("arguments", CP2, "kvm_arguments", args="-cpu host")
        yield self.edit("hook script", CP2, "hook_script_file_id", hookscript="local:snippets/x")
        yield self.edit("random numbers", CP2, "rng", rng0="source=/dev/urandom")
        yield self.edit("watchdog", CP2, "watchdog", watchdog="model=i6300esb")
        yield self.edit("USB device", CP2, "usb", usb0="spice")
        yield self.edit("audio", CP2, "audio_device", audio0="device=ich9-intel-hda")

    def _disks(self) -> Iterator[Kind]:
        yield self.flag("scsi0", CP1, "disk.discard", "discard=on", "discard=ignore")
        yield self.flag("scsi0", CP1, "disk.iothread", "iothread=1", "iothread=0")
        yield self.flag("scsi0", CP1, "disk.ssd", "ssd=1", "ssd=0")
        yield self.flag("scsi0", CP1, "disk.cache", "cache=none", "cache=writeback")
        yield self.flag("scsi0", CP1, "disk.aio", "aio=io_uring", "aio=threads")
        yield self.flag("scsi0", CP1, "disk.backup", "backup=1", "backup=0")
        yield self.flag("scsi0", CP1, "disk.replicate", "replicate=1", "replicate=0")
        yield Kind(
            name="disk grown",
            on=CP2,
            seen="disk.size",
            do=lambda _: self.guest(CP2).resize.put(disk="scsi0", size="+1G"),
        )
        yield self.flag("scsi1", W1, "disk.serial", "serial=data", "serial=other")
        yield self.edit("disk detached", W2, "disk.interface", delete="scsi1")
        yield self.edit("disk added", W3, "", scsi2="local-lvm:1")
        volume = f"local-lvm:vm-{CP2}-disk-0"
        yield Kind(
            name="volume of a disk deleted",
            on=CP2,
            seen="disk.file_format",
            do=self.act("delete-volume", host="pve-staging-2", volume=volume),
        )

    def _network(self) -> Iterator[Kind]:
        yield self.flag("net0", CP1, "network_device.bridge", "bridge=vmbr0", "bridge=vmbr9")
        yield self.flag("net0", CP1, "network_device.mac_address", "BC:24:11", "BC:24:12")
        yield self.flag("net0", CP1, "network_device.model", "virtio=", "e1000=")
        yield self.flag("net0", CP2, "network_device.vlan_id", "bridge=vmbr0", "bridge=vmbr0,tag=7")
        yield self.flag("net0", CP2, "network_device.mtu", "bridge=vmbr0", "bridge=vmbr0,mtu=1400")
        yield self.flag("net0", CP2, "network_device.rate_limit", "bridge=vmbr0", "bridge=vmbr0,rate=5")
        yield self.flag("net0", CP2, "network_device.disconnected", "bridge=vmbr0", "bridge=vmbr0,link_down=1")
        yield self.flag("net0", CP2, "network_device.firewall", "firewall=0", "firewall=1")
        yield self.edit("card added", W3, "network_device", net1="virtio=BC:24:11:00:00:01,bridge=vmbr0")
        yield self.edit("card removed", W1, "network_device", delete="net0")
        yield self.flag("ipconfig0", CP1, "initialization.ip_config.ipv4.address", ".2.11/", ".2.99/")
        yield self.flag("ipconfig0", W2, "initialization.ip_config.ipv4.gateway", ".2.1,", ".2.254,")
        yield self.edit("name server", CP1, "initialization.dns.servers", nameserver="9.9.9.9")
        yield self.edit("domain", CP1, "initialization.dns.domain", searchdomain="by.hand")
        yield self.edit("user", CP2, "initialization", ciuser="me")
        yield self.edit("first-boot drive removed", W1, "initialization.datastore_id", delete="ide2")

    def _shared_and_ha(self) -> Iterator[Kind]:
        def put_resource(vm_id: int, **fields: Any) -> Callable[[ProxmoxAPI], object]:
            return lambda client: client.cluster.ha.resources(f"vm:{vm_id}").put(**fields)

        def put_rule(**fields: Any) -> Callable[[ProxmoxAPI], object]:
            return lambda client: client.cluster.ha.rules(HOSTS_RULE).put(type="node-affinity", **fields)

        yield Kind(name="HA state", on=f"ha/vm:{CP1}", seen="state", do=put_resource(CP1, state="ignored"))
        yield Kind(name="HA comment", on=f"ha/vm:{CP2}", seen="comment", do=put_resource(CP2, comment="by hand"))
        yield Kind(name="HA restarts", on=f"ha/vm:{CP2}", seen="max_restart", do=put_resource(CP2, max_restart=5))
        yield Kind(
            name="HA forgets a machine",
            on=f"ha/vm:{W1}",
            seen=Action.CREATE,
            do=lambda client: client.cluster.ha.resources(f"vm:{W1}").delete(),
        )
        yield Kind(name="rule comment", on=f"rule/{HOSTS_RULE}", seen="comment", do=put_rule(comment="by hand"))
        yield Kind(name="rule strict", on=f"rule/{HOSTS_RULE}", seen="strict", do=put_rule(strict=0))
        yield Kind(name="rule nodes", on=f"rule/{HOSTS_RULE}", seen="nodes", do=put_rule(nodes="pve-staging-1"))
        yield Kind(name="rule off", on=f"rule/{HOSTS_RULE}", seen="disable", do=put_rule(disable=1))
        yield Kind(name="rule resources", on=f"rule/{HOSTS_RULE}", seen="resources", do=put_rule(resources=f"vm:{CP1}"))
        yield Kind(
            name="rule gone",
            on=f"rule/{APART_RULE}",
            seen=Action.CREATE,
            do=lambda client: client.cluster.ha.rules(APART_RULE).delete(),
        )
        yield Kind(
            name="pool comment",
            on="pool/infraflux-staging",
            seen="comment",
            do=lambda client: client.pools.put(poolid="infraflux-staging", comment="by hand"),
        )
        image = self.client.nodes("pve-staging-1").storage("local").content.get(content="import")[0]["volid"]
        yield Kind(
            name="image missing on a host",
            on=f"file/pve-staging-1/{image}",
            seen=Action.CREATE,
            do=self.act("delete-volume", host="pve-staging-1", volume=image),
        )

    def _whole_machines(self) -> Iterator[Kind]:
        yield Kind(name="moved", on=W3, seen="", do=self.act("ha-move", vm=str(W3), host="pve-staging-1"))
        yield Kind(name="stopped", on=W2, seen="started", do=self.act("stop-vm", vm=str(W2)))
        yield self.edit("lock", W1, "", lock="backup")
        yield self.edit("made a template", CP3, "template", template="1")
        yield Kind(name="deleted", on=CP3, seen=Action.CREATE, do=self.act("delete-vm", vm=str(CP3)))
