"""Calls on guests."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from infraflux_lab.proxmox.config import check_digest, shown, split_drives
from infraflux_lab.proxmox.drives import DriveRequest
from infraflux_lab.proxmox.errors import PveError, bad_parameter, forbidden
from infraflux_lab.proxmox.facts.check import option_rule
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.pending import seed_of, shown_pending, shown_seed
from infraflux_lab.proxmox.rights import needs
from infraflux_lab.proxmox.schema import family, parse_properties, words
from infraflux_lab.proxmox.snapshots import snapshot_config
from infraflux_lab.proxmox.tasks import Worker
from infraflux_lab.proxmox.views import guest_status

routes = Routes()
CREATE_ONLY = words("vmid node pool force start storage unique archive bwlimit ha-managed live-restore")
UPDATE_ONLY = words("node vmid delete digest skiplock revert force background_delay import-working-storage")
CONFIG_PRIVILEGES = (
    "VM.Config.Disk", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.HWType",
    "VM.Config.Options", "VM.Config.Cloudinit",
)  # fmt: skip
INDEX = (
    "agent", "clone", "cloudinit", "config", "feature", "migrate", "move_disk", "pending", "resize", "snapshot",
    "status", "template",
)  # fmt: skip
QEMU = "/nodes/{node}/qemu"
GUEST = f"{QEMU}/{{vmid}}"


@routes("GET", QEMU)
async def guests(call: Call) -> Any:
    """Guests of a host."""
    return [
        guest_status(call.sim, guest)
        for guest in call.sim.cluster.guests_on(call.node)
        if call.allowed(f"/vms/{guest.vm_id}", "VM.Audit")
    ]


@routes("POST", QEMU)
async def create(call: Call) -> Any:
    """Create a guest in a task; its id is taken from here on."""
    node, text = call.node, call.need("vmid")
    pool = call.form.get("pool")
    if not (pool and call.allowed(f"/pool/{pool}", "VM.Allocate")):
        call.require(f"/vms/{text}", "VM.Allocate")
    if pool and pool not in call.sim.cluster.pools:
        raise PveError(f"no such pool '{pool}'")
    options, drives = split_drives({key: value for key, value in call.form.items() if key not in CREATE_ONLY})
    _check_resources(call, options, drives, vm_id=int(text), pool=pool)
    if "archive" in call.form:
        return _restore(call, options, vm_id=int(text), pool=pool)
    return call.sim.guests.create(
        node=node,
        vm_id=int(text),
        options=options,
        drives=drives,
        pool=pool,
        start=call.flag("start"),
        user=call.caller.id,
    )


def _restore(call: Call, options: dict[str, Any], *, vm_id: int, pool: str | None) -> str:
    archive = call.form["archive"]
    if archive == "-":
        raise PveError("pipe requires cli environment")
    call.require(f"/storage/{archive.partition(':')[0]}", "Datastore.Allocate", "Datastore.AllocateSpace")
    return call.sim.backups.restore(
        node=call.node,
        vm_id=vm_id,
        archive=archive,
        storage_id=call.form.get("storage"),
        force=call.flag("force"),
        unique=call.flag("unique"),
        options=options,
        start=call.flag("start"),
        pool=pool,
        user=call.caller.id,
    )


def _check_rights(call: Call, options: Iterable[tuple[str, str]], *, paths: list[str], verb: str = "set") -> None:
    """403 unless the caller may change these options of a guest that is known by `paths` (itself, its pool)."""
    if call.caller.is_root:
        return
    for option, text in options:
        for need in needs(option, text, verb=verb):
            where = [need.path] if need.path else paths
            if not any(call.allowed(path, *need.privileges) for path in where):
                raise forbidden(where[0], *need.privileges)


def _check_resources(
    call: Call,
    options: dict[str, Any],
    drives: dict[str, DriveRequest],
    *,
    vm_id: int,
    pool: str | None = None,
    verb: str = "set",
) -> None:
    """Privileges on what a configuration uses: options, storages, bridges."""
    paths = [f"/vms/{vm_id}", *([f"/pool/{pool}"] if pool else [])]
    texts = {
        **{name: str(value) for name, value in options.items()},
        **{name: ",".join(f"{k}={v}" for k, v in request.properties.items()) for name, request in drives.items()},
    }
    _check_rights(call, texts.items(), paths=paths, verb=verb)
    for request in drives.values():
        if not call.caller.is_root and (request.file.startswith("/") or request.source.startswith("/")):
            raise PveError("Only root can pass arbitrary filesystem paths.")
        if request.storage:
            call.require(f"/storage/{request.storage}", "Datastore.AllocateSpace")
            call.sim.storages.check_content(request.storage, "images")
    _check_bridges(call, options)


def _check_bridges(call: Call, options: Mapping[str, Any]) -> None:
    """The right to plug cards into what they are plugged into."""
    for option, value in options.items():
        if family(option) == "net" != option:
            card = parse_properties(value, default_key="model")
            if card.get("bridge"):  # a tagged card is looked up below the bridge (PVE::GuestHelpers, check_vnet_access)
                tag = f"/{card['tag']}" if card.get("tag") else ""
                call.require(f"/sdn/zones/localnetwork/{card['bridge']}{tag}", "SDN.Use")


@routes("GET", GUEST)
async def guest_index(call: Call) -> Any:
    """What there is below a guest."""
    call.guest("VM.Audit")
    return [{"subdir": name} for name in INDEX]


@routes("GET", f"{GUEST}/config")
async def config(call: Call) -> Any:
    """Configuration with pending changes applied, unless `current`; or as a snapshot has it."""
    guest = call.guest("VM.Audit")
    if "snapshot" in call.form:
        return snapshot_config(guest, call.form["snapshot"])
    return shown(guest, current=call.flag("current"))


@routes("GET", f"{GUEST}/pending")
async def pending(call: Call) -> Any:
    """Current and pending values side by side."""
    return shown_pending(call.guest("VM.Audit"))


@routes("PUT", f"{GUEST}/config")
async def change(call: Call) -> Any:
    """Change the configuration at once."""
    guest, apply = _change(call)
    async with call.sim.guests.locks.hold(guest.vm_id):
        apply()


@routes("POST", f"{GUEST}/config")
async def change_in_task(call: Call) -> Any:
    """Change the configuration in a task; what is wrong with it is said at once."""
    guest, apply = _change(call)

    async def work(_worker: Worker) -> None:
        apply()

    upid = call.sim.guests.task(guest, "qmconfig", call.caller.id, work)
    return await _within(call, upid, call.number("background_delay", 0))


async def _within(call: Call, upid: str, seconds: int) -> str | None:
    """The task, or nothing where it ends within the time that the client waits."""
    deadline, task = time.monotonic() + seconds, call.sim.tasks.get(upid)
    while time.monotonic() < deadline:
        if not task.running:
            if task.exit_status != "OK":
                raise PveError(f"failed to update VM {task.subject}: {task.exit_status}")
            return None
        await asyncio.sleep(0.05)
    return upid


def _change(call: Call) -> tuple[Guest, Callable[[], None]]:
    """Check a change, and give back what makes it."""
    guest = call.unlocked_guest(*CONFIG_PRIVILEGES)
    form = {key: value for key, value in call.form.items() if key not in UPDATE_ONLY}
    options, drives = split_drives(form)
    delete, revert = call.names("delete"), call.names("revert")
    if not (form or delete or revert):
        raise PveError("no options specified")
    _check_names(delete=delete, revert=revert, form=form)
    _check_resources(call, options, drives, vm_id=guest.vm_id, verb="modify")
    gone = [(name, str(guest.wanted[name])) for name in delete if name in guest.wanted]
    _check_rights(call, gone, paths=[f"/vms/{guest.vm_id}"], verb="delete")
    check_digest(guest, call.form.get("digest"))

    def apply() -> None:
        call.sim.guests.change(
            guest, options=options, drives=drives, delete=delete, revert=revert, digest=call.form.get("digest")
        )

    return guest, apply


def _check_names(*, delete: list[str], revert: list[str], form: Mapping[str, str]) -> None:
    for parameter, names in (("delete", delete), ("revert", revert)):
        for name in names:
            if option_rule(name) is None:
                raise bad_parameter(parameter, f"unknown option '{name}'")
            if name in form:
                raise bad_parameter("delete", f"you can't use '-{name}' and -{parameter} {name}' at the same time")


@routes("DELETE", GUEST)
async def delete(call: Call) -> Any:
    """Destroy a guest that is off."""
    guest = call.unlocked_guest("VM.Allocate")
    # The real default of destroy-unreferenced-disks is 0 since Proxmox VE 7.
    return call.sim.guests.delete(
        guest, user=call.caller.id, purge=call.flag("purge"), unreferenced=call.flag("destroy-unreferenced-disks")
    )


@routes("PUT", f"{GUEST}/resize")
async def resize(call: Call) -> Any:
    """Grow a disk."""
    guest = call.unlocked_guest("VM.Config.Disk")
    return call.sim.guests.resize(guest, option=call.need("disk"), size=call.need("size"), user=call.caller.id)


@routes("POST", f"{GUEST}/move_disk")
async def move_disk(call: Call) -> Any:
    """Move a disk to another storage."""
    guest, storage = call.unlocked_guest("VM.Config.Disk"), call.need("storage")
    call.require(f"/storage/{storage}", "Datastore.AllocateSpace")
    return call.sim.guests.move_disk(
        guest, option=call.need("disk"), storage=storage, delete=call.flag("delete"), user=call.caller.id
    )


@routes("GET", f"{GUEST}/cloudinit")
async def cloudinit_state(call: Call) -> Any:
    """What the cloud-init drive has, and what waits for the next time that it is written."""
    return shown_seed(call.guest("VM.Audit"))


@routes("PUT", f"{GUEST}/cloudinit")
async def cloudinit(call: Call) -> Any:
    """Write the cloud-init drive anew; the guest reads it at its next boot."""
    guest = call.unlocked_guest("VM.Config.Cloudinit")
    if guest.status == RUNNING:
        guest.seed = seed_of(guest.wanted)
        call.sim.cluster.save_guest(guest)


@routes("POST", f"{GUEST}/migrate")
async def migrate(call: Call) -> Any:
    """Move to another host."""
    guest = call.unlocked_guest("VM.Migrate")
    if f"vm:{guest.vm_id}" in call.sim.cluster.ha_resources:
        call.sim.ha.migrate(str(guest.vm_id), call.need("target"), user=call.caller.id)
        return next(reversed(call.sim.cluster.tasks))
    return call.sim.guests.migrate(
        guest,
        target=call.need("target"),
        online=call.flag("online"),
        local_disks=call.flag("with-local-disks"),
        user=call.caller.id,
    )


@routes("POST", f"{GUEST}/clone")
async def clone(call: Call) -> Any:
    """Copy a guest."""
    guest, new_id = call.unlocked_guest("VM.Clone"), call.need("newid")
    pool = call.form.get("pool")
    if pool and pool not in call.sim.cluster.pools:
        raise PveError(f"no such pool '{pool}'")
    if not (pool and call.allowed(f"/pool/{pool}", "VM.Allocate")):
        call.require(f"/vms/{new_id}", "VM.Allocate")
    if call.form.get("target", guest.node) not in call.sim.cluster.spec.hosts:
        raise bad_parameter("target", f"no such cluster node '{call.form['target']}'")
    # The copy has the devices and cards of the original: PVE::API2::Qemu, clone_vm.
    devices = [
        (name, str(text))
        for name, text in guest.wanted.items()
        if name != family(name) and family(name) in ("hostpci", "usb")
    ]
    _check_rights(call, devices, paths=[f"/vms/{guest.vm_id}", f"/vms/{new_id}"])
    if not call.caller.is_root:
        _check_bridges(call, guest.wanted)
    return call.sim.guests.clone(guest, vm_id=int(new_id), form=call.form, user=call.caller.id)


@routes("POST", f"{GUEST}/template")
async def template(call: Call) -> Any:
    """Make a template of a guest that is off."""
    guest = call.unlocked_guest("VM.Allocate")
    if guest.status == RUNNING:
        raise PveError("you can't convert a VM to template if VM is running")

    async def work(_worker: Worker) -> None:
        guest.config["template"] = 1
        call.sim.cluster.save_guest(guest)

    return call.sim.tasks.start(
        node=guest.node, kind="qmtemplate", subject=str(guest.vm_id), user=call.caller.id, work=work
    )
