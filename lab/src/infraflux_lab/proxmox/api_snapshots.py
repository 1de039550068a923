"""Calls on snapshots of guests."""

from typing import Any

from infraflux_lab.proxmox.api_guests import GUEST
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.snapshots import snapshot_config, snapshot_of

routes = Routes()
SNAPSHOT = f"{GUEST}/snapshot/{{snapname}}"


@routes("GET", f"{GUEST}/feature")
async def feature(call: Call) -> Any:
    """Whether the guest can be snapshotted, cloned or copied."""
    guest, wanted = call.guest("VM.Audit"), call.need("feature")
    has = {"snapshot": call.sim.snapshots.available(guest), "clone": guest.template, "copy": True}[wanted]
    return {"hasFeature": int(has), "nodes": list(call.sim.cluster.spec.hosts)}


@routes("GET", f"{GUEST}/snapshot")
async def snapshots(call: Call) -> Any:
    """All snapshots of a guest."""
    return call.sim.snapshots.list(call.guest("VM.Audit"))


@routes("POST", f"{GUEST}/snapshot")
async def create(call: Call) -> Any:
    """Take one."""
    return call.sim.snapshots.create(
        call.unlocked_guest("VM.Snapshot"),
        name=call.need("snapname"),
        description=call.form.get("description", ""),
        vmstate=call.flag("vmstate"),
        user=call.caller.id,
    )


@routes("GET", SNAPSHOT)
async def index(call: Call) -> Any:
    """What there is below."""
    snapshot_of(call.guest("VM.Audit"), call.params["snapname"])
    return [{"cmd": "config"}, {"cmd": "rollback"}]


@routes("DELETE", SNAPSHOT)
async def delete(call: Call) -> Any:
    """Remove one."""
    guest = call.unlocked_guest("VM.Snapshot")
    return call.sim.snapshots.delete(guest, name=call.params["snapname"], user=call.caller.id)


@routes("GET", f"{SNAPSHOT}/config")
async def config(call: Call) -> Any:
    """What one holds."""
    return snapshot_config(call.guest("VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"), call.params["snapname"])


@routes("PUT", f"{SNAPSHOT}/config")
async def describe(call: Call) -> Any:
    """Change what is said of one."""
    guest = call.unlocked_guest("VM.Snapshot")
    found = snapshot_of(guest, call.params["snapname"])
    found["description"] = call.form.get("description", found["description"])
    call.sim.cluster.save_guest(guest)


@routes("POST", f"{SNAPSHOT}/rollback")
async def rollback(call: Call) -> Any:
    """Go back to one."""
    guest = call.unlocked_guest("VM.Snapshot", "VM.Snapshot.Rollback")
    return call.sim.snapshots.rollback(
        guest, name=call.params["snapname"], start=call.flag("start"), user=call.caller.id
    )
