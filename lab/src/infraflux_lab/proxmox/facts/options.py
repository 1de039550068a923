"""Options of a guest: qm.conf(5) of Proxmox VE 9.1, and the pairs inside of them."""

from infraflux_lab.proxmox.facts.kinds import Pairs, Rule, rules, words

OPTIONS: dict[str, Rule] = rules("""
acpi bool
affinity @cpu-set
agent {agent}
allow-ksm bool
amd-sev {amd-sev}
arch x86_64|aarch64
args str
audio0 {audio}
autostart bool
balloon int 0..
bios seabios|ovmf
boot {boot}
bootdisk /(ide|sata|scsi|virtio)\\d+/
cdrom {ide}
cicustom {cicustom}
cipassword str
citype configdrive2|nocloud|opennebula
ciupgrade bool
ciuser str
cores int 1..
cpu {cpu}
cpulimit num 0..128
cpuunits int 1..262144
description str <=8192
efidisk0 {efidisk}
freeze bool
hookscript @volume
hotplug @hotplug
hugepages any|2|1024
intel-tdx {intel-tdx}
ivshmem {ivshmem}
keephugepages bool
keyboard de|de-ch|da|en-gb|en-us|es|fi|fr|fr-be|fr-ca|fr-ch|hu|is|it|ja|lt|mk|nl|no|pl|pt|pt-br|sv|sl|tr
kvm bool
localtime bool
lock backup|clone|create|migrate|rollback|snapshot|snapshot-delete|suspending|suspended
machine {machine}
memory {memory}
migrate_downtime num 0..
migrate_speed int 0..
name @dns-name
nameserver @address*
numa bool
onboot bool
ostype other|wxp|w2k|w2k3|w2k8|wvista|win7|win8|win10|win11|l24|l26|solaris
protection bool
reboot bool
rng0 {rng}
scsihw lsi|lsi53c810|virtio-scsi-pci|virtio-scsi-single|megasas|pvscsi
searchdomain str
shares int 0..50000
smbios1 {smbios} <=512
smp int 1..
sockets int 1..
spice_enhancements {spice}
sshkeys @urlencoded
startdate /(now|\\d{4}-\\d{1,2}-\\d{1,2}(T\\d{1,2}:\\d{1,2}:\\d{1,2})?)/
startup @startup
tablet bool
tags @tag*
tdf bool
template bool
tpmstate0 {tpmstate}
vcpus int 1..
vga {vga}
vmgenid /(?:[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01])/
vmstatestorage @storage
watchdog {watchdog}
""")

FAMILIES: dict[str, tuple[int, Rule]] = {
    name: (highest, rules(f"{name} {kind}")[name])
    for name, highest, kind in (
        ("hostpci", 15, "{hostpci}"),
        ("ide", 3, "{ide}"),
        ("ipconfig", 31, "{ipconfig}"),
        ("net", 31, "{net}"),
        ("numa", 7, "{numa}"),
        ("parallel", 2, r"/(/dev/parport\d+|/dev/usb/lp\d+)/"),
        ("sata", 5, "{sata}"),
        ("scsi", 30, "{scsi}"),
        ("serial", 3, "/(/dev/.+|socket)/"),
        ("unused", 255, "{unused}"),
        ("usb", 13, "{usb}"),
        ("virtio", 15, "{virtio}"),
        ("virtiofs", 9, "{virtiofs}"),
    )
}
"""Numbered options: the highest number, and what each may be."""

CPU_MODELS = frozenset(
    words(
        "486 athlon Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server "
        "Cascadelake-Server-noTSX Cascadelake-Server-v2 Cascadelake-Server-v4 Cascadelake-Server-v5 ClearwaterForest "
        "Conroe Cooperlake Cooperlake-v2 core2duo coreduo EPYC EPYC-Genoa EPYC-Genoa-v2 EPYC-IBPB EPYC-Milan "
        "EPYC-Milan-v2 EPYC-Milan-v3 EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Rome-v5 EPYC-Turin EPYC-v3 "
        "EPYC-v4 EPYC-v5 GraniteRapids GraniteRapids-v2 GraniteRapids-v3 Haswell Haswell-IBRS Haswell-noTSX "
        "Haswell-noTSX-IBRS host Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX "
        "Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 Icelake-Server-v7 IvyBridge "
        "IvyBridge-IBRS KnightsMill kvm32 kvm64 max Nehalem Nehalem-IBRS Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 "
        "Opteron_G5 Penryn pentium pentium2 pentium3 phenom qemu32 qemu64 SandyBridge SandyBridge-IBRS SapphireRapids "
        "SapphireRapids-v2 SapphireRapids-v3 SapphireRapids-v4 SierraForest SierraForest-v2 SierraForest-v3 "
        "Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server "
        "Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 Westmere Westmere-IBRS "
        "x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4"
    )
)
"""Models that every Proxmox VE 9.1 host of this architecture knows; others must be named `custom-...`."""
CPU_FLAGS = frozenset(
    words(
        "nested-virt md-clear pcid spec-ctrl ssbd ibpb virt-ssbd amd-ssbd amd-no-ssb pdpe1gb hv-tlbflush hv-evmcs aes"
    )
)
NET_MODELS = (
    "e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82551", "i82557b", "i82559er", "ne2k_isa",
    "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3",
)  # fmt: skip

_MACHINE_TYPE = (
    r"/(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?"
    r"|virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)/"
)
_PCI_ADDRESS = r"(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?"
_RANGES = r"/\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*/"
_BASE64 = r"/[A-Za-z0-9+\/]+={0,2}/"
_DEVICE_ID = "/0x[0-9a-fA-F]{4}/"
_WWN = "wwn /0x[0-9a-fA-F]{16}/"

# What every bus has. A bus adds its own below: SSD emulation is no business of virtio-blk, I/O threads none of IDE and
# SATA (qm.conf(5), sections ide[n], sata[n], scsi[n], virtio[n]).
_ANY_DRIVE = """
file @drive-file !
aio native|threads|io_uring
backup bool
bps int
bps_max_length int 1..
bps_rd int
bps_rd_max_length int 1..
bps_wr int
bps_wr_max_length int 1..
cache none|writethrough|writeback|unsafe|directsync
detect_zeroes bool
discard ignore|on
format raw|qcow|qed|qcow2|vmdk|cloop
import-from @volume-or-path
iops int
iops_max int
iops_max_length int 1..
iops_rd int
iops_rd_max int
iops_rd_max_length int 1..
iops_wr int
iops_wr_max int
iops_wr_max_length int 1..
mbps num
mbps_max num
mbps_rd num
mbps_rd_max num
mbps_wr num
mbps_wr_max num
media cdrom|disk
replicate bool
rerror ignore|report|stop
serial @urlencoded <=60
shared bool
size @size
snapshot bool
werror enospc|ignore|report|stop
"""
_DRIVE_ALIASES = {
    "volume": "file",
    **{f"{unit}_{way}_length": f"{unit}_{way}_max_length" for unit in ("bps", "iops") for way in ("rd", "wr")},
}
_SCSI = r"""
iothread bool
product /[A-Za-z0-9\-_\s]{,16}/
queues int 2..
ro bool
scsiblock bool
ssd bool
vendor /[A-Za-z0-9\-_\s]{,8}/
"""


def _drive(own: str) -> Pairs:
    return Pairs(rules=rules(_ANY_DRIVE + own), default="file", aliases=_DRIVE_ALIASES)


def _pairs(text: str, default: str = "", **aliases: str) -> Pairs:
    return Pairs(
        rules=rules(text), default=default, aliases={name.replace("_", "-"): key for name, key in aliases.items()}
    )


PAIRS: dict[str, Pairs] = {
    "agent": _pairs(
        "enabled bool !\nfreeze-fs bool\nfstrim_cloned_disks bool\ntype virtio|isa",
        "enabled",
        freeze_fs_on_backup="freeze-fs",
        guest_fsfreeze="freeze-fs",
    ),
    "amd-sev": _pairs(
        "type std|es|snp ! <=3\nno-debug bool\nno-key-sharing bool\nallow-smt bool\nkernel-hashes bool", "type"
    ),
    "audio": _pairs("device ich9-intel-hda|intel-hda|AC97 !\ndriver spice|none"),
    "boot": _pairs("legacy /[acdn]{1,4}/\norder @boot-device*", "legacy"),
    "cicustom": _pairs("meta @volume\nnetwork @volume\nuser @volume\nvendor @volume"),
    "cpu": _pairs(
        "cputype str\nreported-model str\nhidden bool\nhv-vendor-id /[a-zA-Z0-9]{1,12}/\n"
        r"flags /[+-][a-zA-Z0-9\-_.]+(;[+-][a-zA-Z0-9\-_.]+)*/"
        "\nguest-phys-bits int 32..64\nphys-bits @phys-bits\nlevel int 0..4294967295",
        "cputype",
    ),
    "efidisk": _pairs(
        "file @drive-file !\nefitype 2m|4m\nformat raw|qcow|qed|qcow2|vmdk|cloop\nimport-from @volume-or-path\n"
        "ms-cert 2011|2023|2023w|2023k\npre-enrolled-keys bool\nsize @size",
        "file",
        volume="file",
    ),
    "hostpci": _pairs(
        f"host /{_PCI_ADDRESS}(;{_PCI_ADDRESS})*/\nmapping @config-id\nrombar bool\nromfile /[^,;]+/\npcie bool\n"
        "x-vga bool\nlegacy-igd bool\nmdev /[^\\/.:]+/\n"
        f"vendor-id {_DEVICE_ID}\ndevice-id {_DEVICE_ID}\nsub-vendor-id {_DEVICE_ID}\nsub-device-id {_DEVICE_ID}\n"
        "driver vfio|keep",
        "host",
    ),
    "ide": _drive(f"ssd bool\nmodel @urlencoded <=120\n{_WWN}"),
    "intel-tdx": _pairs("type tdx| !\nattestation bool !\nvsock-cid int 2..\nvsock-port int 0..", "type"),
    "ipconfig": _pairs(
        "ip @ipv4-config\ngw @ipv4 needs:ip\nip6 @ipv6-config\ngw6 @ipv6 needs:ip6",
    ),
    "ivshmem": _pairs("size int 1.. !\nname /[a-zA-Z0-9\\-]+/"),
    "machine": _pairs(
        f"type {_MACHINE_TYPE} <=40\nviommu intel|virtio\nenable-s3 bool\nenable-s4 bool\naw-bits num 32..64", "type"
    ),
    "memory": _pairs("current int 16.. !", "current"),
    "net": Pairs(
        rules=rules(
            f"model {'|'.join(NET_MODELS)} !\nmacaddr @mac\nbridge @bridge\nfirewall bool\nlink_down bool\n"
            f"mtu int 1..65520\nqueues int 0..64\nrate num 0..\ntag int 1..4094\ntrunks {_RANGES}"
        ),
        default="model",
        named_by=dict.fromkeys(NET_MODELS, "macaddr"),
    ),
    "numa": _pairs(f"cpus {_RANGES} !\nhostnodes {_RANGES}\nmemory num\npolicy preferred|bind|interleave"),
    "pci-map": _pairs(
        f"node @node !\npath /(?:{_PCI_ADDRESS};)*{_PCI_ADDRESS}/ !\nid /[0-9A-Fa-f]{{4}}:[0-9A-Fa-f]{{4}}/ !\n"
        "subsystem-id /[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}/\niommugroup int\ndescription str <=4096"
    ),
    "rng": _pairs("source =/dev/urandom|/dev/random|/dev/hwrng !\nmax_bytes int\nperiod int", "source"),
    "sata": _drive(f"ssd bool\n{_WWN}"),
    "scsi": _drive(f"{_SCSI}{_WWN}"),
    "smbios": _pairs(
        "uuid /[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}/\nbase64 bool\n"
        + "\n".join(f"{name} {_BASE64}" for name in ("version", "serial", "manufacturer", "product", "sku", "family"))
    ),
    "spice": _pairs("foldersharing bool\nvideostreaming off|all|filter"),
    "tpmstate": _pairs(
        "file @drive-file !\nformat raw|qcow2|vmdk\nimport-from @volume-or-path\nsize @size\nversion v1.2|v2.0",
        "file",
        volume="file",
    ),
    "unused": _pairs("file @volume !", "file", volume="file"),
    "usb": _pairs(
        r"host /(0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|\d+-\d+(\.\d+)*|[Ss][Pp][Ii][Cc][Ee]/"
        "\nmapping @config-id\nusb3 bool",
        "host",
    ),
    "vga": _pairs(
        "type cirrus|qxl|qxl2|qxl3|qxl4|none|serial0|serial1|serial2|serial3|std|virtio|virtio-gl|vmware\n"
        "memory int 4..512\nclipboard vnc|",
        "type",
    ),
    "virtio": _drive("iothread bool\nro bool"),
    "virtiofs": _pairs(
        "dirid @config-id !\ncache auto|always|metadata|never\ndirect-io bool\nexpose-acl bool\nexpose-xattr bool",
        "dirid",
    ),
    "watchdog": _pairs("model i6300esb|ib700\naction reset|shutdown|poweroff|pause|debug|none", "model"),
}
