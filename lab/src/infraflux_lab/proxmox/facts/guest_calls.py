"""Calls on guests, in the notation of `kinds`."""

from infraflux_lab.proxmox.facts.kinds import words

_BUSES = r"ide[0-3]|scsi(\d|[12]\d|30)|virtio(\d|1[0-5])|sata[0-5]|efidisk0|tpmstate0"
_UNUSED = r"unused(\d|\d\d|1\d\d|2[0-4]\d|25[0-5])"

GUESTS = (
    r"""
GET /nodes/{node}/qemu
  full bool
POST /nodes/{node}/qemu
  +guest
  vmid int @vm 100..999999999 !
  archive str <=255
  bwlimit int 0..
  force bool needs:archive
  ha-managed bool
  import-working-storage @storage
  live-restore bool
  pool @pool
  start bool
  storage @storage
  unique bool needs:archive
GET QEMU
DELETE QEMU
  destroy-unreferenced-disks bool
  purge bool
  skiplock bool
GET QEMU/config
  current bool
  snapshot @config-id <=40
POST QEMU/config
  +guest
  background_delay int 1..30
  delete @config-id*
  digest str <=40
  force bool needs:delete
  import-working-storage @storage
  revert @config-id*
  skiplock bool
PUT QEMU/config
  +guest
  delete @config-id*
  digest str <=40
  force bool needs:delete
  revert @config-id*
  skiplock bool
GET QEMU/pending
GET QEMU/status
GET QEMU/status/current
POST QEMU/status/start
  force-cpu str
  machine {machine}
  migratedfrom @node
  migration_network @cidr
  migration_type secure|insecure
  nets-host-mtu /net\d+=\d+(,net\d+=\d+)*/
  skiplock bool
  stateuri str <=128
  targetstorage @storage-pair*
  timeout int 0..
  with-conntrack-state bool
POST QEMU/status/stop
  keepActive bool
  migratedfrom @node
  overrule-shutdown bool
  skiplock bool
  timeout int 0..
POST QEMU/status/shutdown
  forceStop bool
  keepActive bool
  skiplock bool
  timeout int 0..
POST QEMU/status/reboot
  timeout int 0..
POST QEMU/status/reset
  skiplock bool
POST QEMU/status/suspend
  skiplock bool
  statestorage @storage needs:todisk
  todisk bool
POST QEMU/status/resume
  nocheck bool
  skiplock bool
PUT QEMU/resize
  digest str <=40
  disk DISK !
  size /\+?\d+(\.\d+)?[KMGT]?/ !
  skiplock bool
POST QEMU/move_disk
  bwlimit int 0..
  delete bool
  digest str <=40
  disk ANYDISK !
  format raw|qcow2|vmdk
  storage @storage
  target-digest str <=40
  target-disk ANYDISK
  target-vmid int @vm 100..999999999
GET QEMU/cloudinit
PUT QEMU/cloudinit
GET QEMU/cloudinit/dump
  type user|network|meta !
GET QEMU/migrate
  target @node
POST QEMU/migrate
  bwlimit int 0..
  force bool
  migration_network @cidr
  migration_type secure|insecure
  online bool
  target @node !
  targetstorage @storage-pair*
  with-conntrack-state bool
  with-local-disks bool
POST QEMU/clone
  bwlimit int 0..
  description str
  format raw|qcow2|vmdk
  full bool
  name @dns-name
  newid int @vm 100..999999999 !
  pool @pool
  snapname @config-id <=40
  storage @storage
  target @node
POST QEMU/template
  disk DISK
GET QEMU/feature
  feature snapshot|clone|copy !
  snapname @config-id <=40
GET QEMU/snapshot
POST QEMU/snapshot
  description str
  snapname @config-id <=40 !
  vmstate bool
GET QEMU/snapshot/{snapname}
DELETE QEMU/snapshot/{snapname}
  force bool
GET QEMU/snapshot/{snapname}/config
PUT QEMU/snapshot/{snapname}/config
  description str
POST QEMU/snapshot/{snapname}/rollback
  start bool
GET QEMU/agent
  +any
""".replace("ANYDISK", f"/({_BUSES}|{_UNUSED})/")
    .replace("DISK", f"/({_BUSES})/")
    .replace("QEMU", "/nodes/{node}/qemu/{vmid}")
)
AGENT_COMMANDS = {
    **dict.fromkeys(
        words(
            "get-fsinfo get-host-name get-memory-block-info get-memory-blocks get-osinfo get-time get-timezone "
            "get-users get-vcpus info network-get-interfaces"
        ),
        "GET",
    ),
    **dict.fromkeys(
        words(
            "fsfreeze-freeze fsfreeze-status fsfreeze-thaw fstrim ping shutdown suspend-disk suspend-hybrid suspend-ram"
        ),
        "POST",
    ),
}
"""Commands of the guest agent that have a call of their own without parameters, and its method."""
