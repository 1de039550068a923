"""Calls on the power of guests."""

from typing import Any

from infraflux_lab.proxmox.api_guests import GUEST
from infraflux_lab.proxmox.errors import PveError
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.power import SUSPENDED
from infraflux_lab.proxmox.schema import family, parse_properties
from infraflux_lab.proxmox.views import guest_status

routes = Routes()


@routes("GET", f"{GUEST}/status")
async def index(call: Call) -> Any:
    """What there is below."""
    call.guest("VM.Audit")
    return [{"subdir": name} for name in ("current", "start", "stop", "reset", "shutdown", "suspend", "reboot")]


@routes("GET", f"{GUEST}/status/current")
async def current(call: Call) -> Any:
    """Power state and more."""
    guest = call.guest("VM.Audit")
    resource = call.sim.cluster.ha_resources.get(f"vm:{guest.vm_id}")
    ha: dict[str, Any] = {"managed": int(resource is not None)}
    if resource:
        ha["state"] = resource.state
    agent = parse_properties(str(guest.config.get("agent", "")), default_key="enabled").get("enabled")
    return {
        **guest_status(call.sim, guest),
        "qmpstatus": "paused" if guest.paused else guest.status,
        "ha": ha,
        **({"agent": 1} if agent == "1" else {}),
    }


@routes("POST", f"{GUEST}/status/start")
async def start(call: Call) -> Any:
    """Power on; a guest that was suspended to disk comes back."""
    guest = call.guest("VM.PowerMgmt")
    if guest.config.get("lock") != SUSPENDED:
        guest = call.unlocked_guest("VM.PowerMgmt")
    managed = call.sim.ha.set_state(guest.vm_id, "started")
    return call.sim.guests.power.start(guest, user=call.caller.id, kind="hastart" if managed else "qmstart")


@routes("POST", f"{GUEST}/status/stop")
async def stop(call: Call) -> Any:
    """Power off hard."""
    guest = call.unlocked_guest("VM.PowerMgmt")
    managed = call.sim.ha.set_state(guest.vm_id, "stopped")
    if call.flag("overrule-shutdown"):
        call.sim.guests.power.overrule_shutdowns(guest)
    return call.sim.guests.power.stop(guest, user=call.caller.id, kind="hastop" if managed else "qmstop")


@routes("POST", f"{GUEST}/status/shutdown")
async def shutdown(call: Call) -> Any:
    """Ask the guest to power off, through its agent or ACPI."""
    guest = call.unlocked_guest("VM.PowerMgmt")
    if guest.paused and not call.flag("forceStop"):
        raise PveError("VM is paused - cannot shutdown")
    timeout_s = call.number("timeout", 0) if "timeout" in call.form else None
    if call.sim.ha.set_state(guest.vm_id, "stopped"):
        # The HA manager waits that long, then it stops the guest.
        return call.sim.guests.power.shutdown(
            guest, user=call.caller.id, kind="hastop", timeout_s=timeout_s, force=True
        )
    if guest.paused:
        return call.sim.guests.power.stop(guest, user=call.caller.id, kind="qmshutdown")
    return call.sim.guests.power.shutdown(guest, user=call.caller.id, timeout_s=timeout_s, force=call.flag("forceStop"))


def _running(call: Call) -> Guest:
    guest = call.unlocked_guest("VM.PowerMgmt")
    if guest.status != RUNNING:
        raise PveError(f"VM {guest.vm_id} not running")
    return guest


@routes("POST", f"{GUEST}/status/reboot")
async def reboot(call: Call) -> Any:
    """Shut down and start, which applies pending changes."""
    guest = _running(call)
    if guest.paused:
        raise PveError("VM is paused - cannot shutdown")
    timeout_s = call.number("timeout", 0) if "timeout" in call.form else None
    return call.sim.guests.power.reboot(guest, user=call.caller.id, timeout_s=timeout_s)


@routes("POST", f"{GUEST}/status/reset")
async def reset(call: Call) -> Any:
    """Pull reset."""
    return call.sim.guests.power.reset(_running(call), user=call.caller.id)


@routes("POST", f"{GUEST}/status/suspend")
async def suspend(call: Call) -> Any:
    """Pause, or suspend to disk."""
    guest, to_disk = _running(call), call.flag("todisk")
    if to_disk:
        call.require(f"/vms/{guest.vm_id}", "VM.Config.Disk")
        if f"vm:{guest.vm_id}" in call.sim.cluster.ha_resources:
            raise PveError("Cannot suspend HA managed VM to disk")
        if any(family(option) == "hostpci" != option for option in guest.config):
            raise PveError(
                "cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to "
                "save/restore their internal state"
            )
    return call.sim.guests.power.suspend(guest, user=call.caller.id, to_disk=to_disk)


@routes("POST", f"{GUEST}/status/resume")
async def resume(call: Call) -> Any:
    """Go on."""
    guest = call.guest("VM.PowerMgmt")
    if guest.config.get("lock") != SUSPENDED:
        guest = _running(call)
    return call.sim.guests.power.resume(guest, user=call.caller.id)
