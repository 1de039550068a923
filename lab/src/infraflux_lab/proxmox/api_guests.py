"""Calls on guests."""

from typing import Any

from infraflux_lab.contracts import Nic
from infraflux_lab.proxmox.config import check_unlocked, shown, shown_pending, split_drives
from infraflux_lab.proxmox.drives import DriveRequest
from infraflux_lab.proxmox.errors import PveError, bad_parameter
from infraflux_lab.proxmox.facts.guest_calls import AGENT_COMMANDS
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.machines import nics_of
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.schema import family, parse_properties, privilege_for, words
from infraflux_lab.proxmox.tasks import Worker
from infraflux_lab.proxmox.views import guest_status, lock_of

routes = Routes()
CREATE_ONLY = words("vmid node pool force start storage unique archive bwlimit ha-managed live-restore")
UPDATE_ONLY = words("node vmid delete digest skiplock revert force background_delay import-working-storage")
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
    if "archive" in call.form:
        raise PveError("the lab restores no backups", status=501)
    options, drives = split_drives({key: value for key, value in call.form.items() if key not in CREATE_ONLY})
    _check_resources(call, options, drives, vm_id=int(text), pool=pool)
    return call.sim.guests.create(
        node=node,
        vm_id=int(text),
        options=options,
        drives=drives,
        pool=pool,
        start=call.flag("start"),
        user=call.caller.id,
    )


def _check_resources(
    call: Call, options: dict[str, Any], drives: dict[str, DriveRequest], *, vm_id: int, pool: str | None = None
) -> None:
    """Privileges on what a configuration uses: options, storages, bridges."""
    paths = [f"/vms/{vm_id}", *([f"/pool/{pool}"] if pool else [])]
    texts = {
        **{name: str(value) for name, value in options.items()},
        **{name: ",".join(f"{k}={v}" for k, v in request.properties.items()) for name, request in drives.items()},
    }
    for option, text in texts.items():
        privilege = privilege_for(option, text)
        if not any(call.allowed(path, privilege) for path in paths):
            call.require(paths[0], privilege)
    for request in drives.values():
        if request.storage:
            call.require(f"/storage/{request.storage}", "Datastore.AllocateSpace")
            call.sim.storages.check_content(request.storage, "images")
    for option, value in options.items():
        if family(option) == "net" != option:
            bridge = parse_properties(value, default_key="model").get("bridge")
            if bridge:
                call.require(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")


@routes("GET", f"{GUEST}/config")
async def config(call: Call) -> Any:
    """Configuration with pending changes applied, unless `current`."""
    return shown(call.guest("VM.Audit"), current=call.flag("current"))


@routes("GET", f"{GUEST}/pending")
async def pending(call: Call) -> Any:
    """Current and pending values side by side."""
    return shown_pending(call.guest("VM.Audit"))


@routes("PUT", f"{GUEST}/config")
async def change(call: Call) -> Any:
    """Change the configuration at once."""
    _change(call)


@routes("POST", f"{GUEST}/config")
async def change_in_task(call: Call) -> Any:
    """Change the configuration in a task."""
    guest = _unlocked(call, "VM.Audit", "VM.Allocate")

    async def work(_worker: Worker) -> None:
        _change(call)

    return call.sim.tasks.start(
        node=guest.node, kind="qmconfig", subject=str(guest.vm_id), user=call.caller.id, work=work
    )


def _change(call: Call) -> None:
    guest = _unlocked(call, "VM.Audit", "VM.Allocate")
    options, drives = split_drives({key: value for key, value in call.form.items() if key not in UPDATE_ONLY})
    delete, revert = call.names("delete"), call.names("revert")
    _check_resources(call, options, drives, vm_id=guest.vm_id)
    for name in delete:
        call.require(f"/vms/{guest.vm_id}", privilege_for(name, str(guest.wanted.get(name, ""))))
    call.sim.guests.change(
        guest, options=options, drives=drives, delete=delete, revert=revert, digest=call.form.get("digest")
    )


def _unlocked(call: Call, *privileges: str) -> Guest:
    """The guest of the call, if nothing locks it."""
    guest = call.guest(*privileges)
    lock = lock_of(call.sim, guest)
    if lock and not call.flag("skiplock"):
        call.sim.cluster.faults.take("vm-lock", f"{call.sim.cluster.name}/{guest.vm_id}")
        check_unlocked(guest, lock)
    return guest


@routes("GET", f"{GUEST}/status/current")
async def status_current(call: Call) -> Any:
    """Power state and more."""
    guest = call.guest("VM.Audit")
    resource = call.sim.cluster.ha_resources.get(f"vm:{guest.vm_id}")
    ha: dict[str, Any] = {"managed": int(resource is not None)}
    if resource:
        ha["state"] = resource.state
    agent = parse_properties(str(guest.config.get("agent", "")), default_key="enabled").get("enabled")
    return {
        **guest_status(call.sim, guest),
        "qmpstatus": guest.status,
        "ha": ha,
        **({"agent": 1} if agent == "1" else {}),
    }


@routes("POST", f"{GUEST}/status/start")
async def start(call: Call) -> Any:
    """Power on."""
    guest = _unlocked(call, "VM.PowerMgmt")
    managed = call.sim.ha.set_state(guest.vm_id, "started")
    return call.sim.guests.start(guest, user=call.caller.id, kind="hastart" if managed else "qmstart")


@routes("POST", f"{GUEST}/status/stop")
async def stop(call: Call) -> Any:
    """Power off hard."""
    guest = _unlocked(call, "VM.PowerMgmt")
    managed = call.sim.ha.set_state(guest.vm_id, "stopped")
    return call.sim.guests.stop(guest, user=call.caller.id, kind="hastop" if managed else "qmstop")


@routes("POST", f"{GUEST}/status/shutdown")
async def shutdown(call: Call) -> Any:
    """Ask the guest to power off; guests of the lab obey."""
    guest = _unlocked(call, "VM.PowerMgmt")
    managed = call.sim.ha.set_state(guest.vm_id, "stopped")
    kind = "hastop" if managed else "qmshutdown"
    return call.sim.guests.stop(guest, user=call.caller.id, kind=kind, phase="vm-shutdown")


@routes("POST", f"{GUEST}/status/reboot")
async def reboot(call: Call) -> Any:
    """Shut down and start, which applies pending changes."""
    return call.sim.guests.reboot(_unlocked(call, "VM.PowerMgmt"), user=call.caller.id)


@routes("POST", f"{GUEST}/status/reset")
async def reset(call: Call) -> Any:
    """Pull reset."""
    return call.sim.guests.reset(_unlocked(call, "VM.PowerMgmt"), user=call.caller.id)


@routes("DELETE", GUEST)
async def delete(call: Call) -> Any:
    """Destroy a guest that is off."""
    guest = _unlocked(call, "VM.Allocate")
    # The real default of destroy-unreferenced-disks is 0 since Proxmox VE 7.
    return call.sim.guests.delete(
        guest, user=call.caller.id, purge=call.flag("purge"), unreferenced=call.flag("destroy-unreferenced-disks")
    )


@routes("PUT", f"{GUEST}/resize")
async def resize(call: Call) -> Any:
    """Grow a disk."""
    guest = _unlocked(call, "VM.Config.Disk")
    return call.sim.guests.resize(guest, option=call.need("disk"), size=call.need("size"), user=call.caller.id)


@routes("POST", f"{GUEST}/move_disk")
async def move_disk(call: Call) -> Any:
    """Move a disk to another storage."""
    guest, storage = _unlocked(call, "VM.Config.Disk"), call.need("storage")
    call.require(f"/storage/{storage}", "Datastore.AllocateSpace")
    return call.sim.guests.move_disk(
        guest, option=call.need("disk"), storage=storage, delete=call.flag("delete"), user=call.caller.id
    )


@routes("PUT", f"{GUEST}/cloudinit")
async def cloudinit(call: Call) -> Any:
    """Write the cloud-init drive anew; what it says is read at the next boot."""
    _unlocked(call, "VM.Config.Cloudinit", "VM.Config.CDROM")


@routes("POST", f"{GUEST}/migrate")
async def migrate(call: Call) -> Any:
    """Move to another host."""
    guest = _unlocked(call, "VM.Migrate")
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
    guest, new_id = _unlocked(call, "VM.Clone"), call.need("newid")
    call.require(f"/vms/{new_id}", "VM.Allocate")
    if call.form.get("target", guest.node) not in call.sim.cluster.spec.hosts:
        raise bad_parameter("target", f"no such cluster node '{call.form['target']}'")
    return call.sim.guests.clone(guest, vm_id=int(new_id), form=call.form, user=call.caller.id)


@routes("POST", f"{GUEST}/template")
async def template(call: Call) -> Any:
    """Make a template of a guest that is off."""
    guest = _unlocked(call, "VM.Allocate")
    if guest.status == RUNNING:
        raise PveError("you can't convert a VM to template if VM is running")

    async def work(_worker: Worker) -> None:
        guest.config["template"] = 1
        call.sim.cluster.save_guest(guest)

    return call.sim.tasks.start(
        node=guest.node, kind="qmtemplate", subject=str(guest.vm_id), user=call.caller.id, work=work
    )


async def agent(call: Call) -> Any:
    """The guest agent of a running machine that has one announced: its addresses, and nothing else that it could do."""
    guest = call.guest("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted", "VM.Audit")
    enabled = parse_properties(str(guest.config.get("agent", "")), default_key="enabled").get("enabled")
    if enabled != "1":
        raise PveError("No QEMU guest agent configured")
    if guest.status != RUNNING:
        raise PveError(f"VM {guest.vm_id} is not running")
    if not call.path.endswith("/network-get-interfaces"):
        raise PveError("QEMU guest agent is not running")
    return {"result": [_interface(guest.vm_id, index, nic) for index, nic in enumerate(nics_of(guest))]}


def _interface(vm_id: int, index: int, nic: Nic) -> dict[str, Any]:
    # The provider waits for an address that Go calls global unicast, which loopback addresses are not. A machine in a
    # network with router advertisements has one; this is of the documentation prefix (RFC 3849).
    addresses = [{"ip-address-type": "ipv6", "ip-address": f"2001:db8::{vm_id:x}:{index:x}", "prefix": 64}]
    if nic.address:
        addresses.insert(0, {"ip-address-type": "ipv4", "ip-address": nic.address, "prefix": nic.prefix_length})
    return {"name": f"eth{index}", "hardware-address": nic.mac, "ip-addresses": addresses}


for _command, _method in AGENT_COMMANDS.items():
    routes(_method, f"{GUEST}/agent/{_command}")(agent)
