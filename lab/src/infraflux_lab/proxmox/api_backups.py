"""Calls on backups."""

from typing import Any

from infraflux_lab.proxmox.errors import PveError, bad_parameters
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import Guest

routes = Routes()
# vzdump(1): these reach into the host itself.
_ROOT_ONLY = ("dumpdir", "script", "tmpdir")


def _chosen(call: Call) -> list[Guest]:
    cluster, node = call.sim.cluster, call.node
    if call.flag("all"):
        excluded = set(call.names("exclude"))
        return [guest for guest in cluster.guests_on(node) if str(guest.vm_id) not in excluded]
    if "pool" in call.form:
        pool = cluster.pools.get(call.form["pool"])
        if pool is None:
            raise PveError(f"no such pool '{call.form['pool']}'")
        return [guest for guest in cluster.guests_on(node) if guest.vm_id in pool.guests]
    return [cluster.guest(int(number), node=node) for number in call.names("vmid")]


@routes("POST", "/nodes/{node}/vzdump")
async def vzdump(call: Call) -> Any:
    """Back up guests of a host."""
    if not call.caller.is_root:
        wrong = {name: "Only root may set this option." for name in _ROOT_ONLY if name in call.form}
        if wrong:
            raise bad_parameters(wrong)
    if not ("vmid" in call.form or "pool" in call.form or call.flag("all")):
        raise bad_parameters({"vmid": "property is missing and it is not optional"})
    chosen, storage = _chosen(call), call.form.get("storage", "local")
    for guest in chosen:
        call.require(f"/vms/{guest.vm_id}", "VM.Backup")
    call.require(f"/storage/{storage}", "Datastore.AllocateSpace")
    if not chosen:
        return "OK"
    return call.sim.backups.start(
        node=call.node, chosen=chosen, storage_id=storage, form=call.form, user=call.caller.id
    )


@routes("GET", "/cluster/backup-info/not-backed-up")
async def not_backed_up(call: Call) -> Any:
    """Guests without a backup: the lab has no backup jobs, so those that no archive holds."""
    call.require("/", "Sys.Audit")
    return [{"vmid": guest.vm_id, "name": guest.name, "type": "qemu"} for guest in call.sim.backups.missing()]
