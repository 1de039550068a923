"""Calls on the guest agent of a machine."""

from typing import Any

from infraflux_lab.contracts import Nic
from infraflux_lab.proxmox.api_guests import GUEST
from infraflux_lab.proxmox.errors import PveError
from infraflux_lab.proxmox.facts.guest_calls import AGENT_COMMANDS
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.machines import nics_of
from infraflux_lab.proxmox.model import RUNNING
from infraflux_lab.proxmox.schema import parse_properties

routes = Routes()
LOOPBACK = {
    "name": "lo",
    "hardware-address": "00:00:00:00:00:00",
    "ip-addresses": [
        {"ip-address-type": "ipv4", "ip-address": "127.0.0.1", "prefix": 8},
        {"ip-address-type": "ipv6", "ip-address": "::1", "prefix": 128},
    ],
}


@routes("GET", f"{GUEST}/agent")
async def index(call: Call) -> Any:
    """Commands that an agent may know."""
    call.guest("VM.Audit")
    return [{"name": name} for name in AGENT_COMMANDS]


async def command(call: Call) -> Any:
    """The guest agent of a running machine that has one announced: its addresses, and nothing else that it could do."""
    guest = call.guest("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted")
    enabled = parse_properties(str(guest.config.get("agent", "")), default_key="enabled").get("enabled")
    if enabled != "1":
        raise PveError("No QEMU guest agent configured")
    if guest.status != RUNNING:
        raise PveError(f"VM {guest.vm_id} is not running")
    if not call.path.endswith("/network-get-interfaces"):
        raise PveError("QEMU guest agent is not running")
    cards = [_interface(guest.vm_id, index, nic) for index, nic in enumerate(nics_of(guest))]
    return {"result": [LOOPBACK, *cards]}


def _interface(vm_id: int, index: int, nic: Nic) -> dict[str, Any]:
    # The provider waits for an address that Go calls global unicast, which loopback addresses are not. A machine in a
    # network with router advertisements has one; this is of the documentation prefix (RFC 3849).
    addresses = [{"ip-address-type": "ipv6", "ip-address": f"2001:db8::{vm_id:x}:{index:x}", "prefix": 64}]
    if nic.address:
        addresses.insert(0, {"ip-address-type": "ipv4", "ip-address": nic.address, "prefix": nic.prefix_length})
    return {"name": f"eth{index}", "hardware-address": nic.mac, "ip-addresses": addresses}


for _command, _method in AGENT_COMMANDS.items():
    routes(_method, f"{GUEST}/agent/{_command}")(command)
