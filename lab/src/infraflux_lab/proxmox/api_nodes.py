"""Calls on a host: status, network, hardware, capabilities, tasks."""

from typing import Any

from infraflux_lab.proxmox.api_cluster import may_see
from infraflux_lab.proxmox.errors import PveError, forbidden
from infraflux_lab.proxmox.facts.options import CPU_MODELS
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import Task
from infraflux_lab.proxmox.views import node_row, node_status, task_row

routes = Routes()
LOG_LINES = 50
NODE_INDEX = (
    "capabilities",
    "dns",
    "hardware",
    "lxc",
    "network",
    "qemu",
    "status",
    "storage",
    "tasks",
    "time",
    "version",
)
QEMU_VERSIONS = ("10.1", "10.0", "9.2", "9.0", "8.1")


@routes("GET", "/nodes")
async def nodes(call: Call) -> Any:
    """All hosts, those out of order too."""
    return [node_row(call.sim, node) for node in call.sim.cluster.spec.hosts]


@routes("GET", "/nodes/{node}/status")
async def status(call: Call) -> Any:
    """Processors, memory, version."""
    call.require(f"/nodes/{call.node}", "Sys.Audit")
    return node_status(call.sim, call.node)


@routes("GET", "/nodes/{node}/version")
async def version(call: Call) -> Any:
    """Version of one host."""
    return {"version": call.sim.version, "release": call.sim.version[:3], "repoid": f"simulated-{call.node}"}


@routes("GET", "/nodes/{node}/time")
async def time_of_node(call: Call) -> Any:
    """Clock of the host: the lab's."""
    call.require(f"/nodes/{call.node}", "Sys.Audit")
    now = call.sim.now_s
    return {"time": now, "localtime": now, "timezone": "UTC"}


@routes("GET", "/nodes/{node}")
async def index(_call: Call) -> Any:
    """What there is below a host."""
    return [{"name": name} for name in NODE_INDEX]


@routes("GET", "/nodes/{node}/dns")
async def dns(call: Call) -> Any:
    """Resolver of a host; the address is of a documentation network (RFC 5737)."""
    call.require(f"/nodes/{call.node}", "Sys.Audit")
    return {"search": "lab.example", "dns1": "192.0.2.53"}


@routes("GET", "/nodes/{node}/lxc")
async def containers(_call: Call) -> Any:
    """Containers: the lab has none."""
    return []


def _interfaces(call: Call) -> list[dict[str, Any]]:
    """A card and a bridge on it; the first bridge has the address of the cluster's API."""
    address = str(call.sim.cluster.spec.address)
    rows: list[dict[str, Any]] = []
    for number, bridge in enumerate(call.sim.cluster.spec.bridges):
        card = f"nic{number}"
        rows.append(
            {"iface": card, "type": "eth", "active": 1, "exists": 1, "method": "manual", "priority": 3 + number}
        )
        row = {
            "iface": bridge,
            "type": "bridge",
            "active": 1,
            "autostart": 1,
            "bridge_ports": card,
            "bridge_stp": "off",
            "bridge_fd": "0",
            "bridge_vlan_aware": 1,
            "method": "manual",
            "priority": 10 + number,
        }
        if number == 0:
            gateway = f"{address.rpartition('.')[0]}.1"
            row |= {
                "method": "static",
                "address": address,
                "netmask": "24",
                "cidr": f"{address}/24",
                "gateway": gateway,
            }
        rows.append(row)
    return rows


@routes("GET", "/nodes/{node}/network")
async def network(call: Call) -> Any:
    """Cards and bridges."""
    call.require(f"/nodes/{call.node}", "Sys.Audit")
    kind = call.form.get("type")
    bridges = kind in ("bridge", "any_bridge", "any_local_bridge", "include_sdn")
    return [row for row in _interfaces(call) if kind in (None, row["type"]) or (bridges and row["type"] == "bridge")]


@routes("GET", "/nodes/{node}/network/{iface}")
async def interface(call: Call) -> Any:
    """One card or bridge."""
    call.require(f"/nodes/{call.node}", "Sys.Audit")
    found = next((row for row in _interfaces(call) if row["iface"] == call.params["iface"]), None)
    if found is None:
        raise PveError("interface does not exist")
    return {key: value for key, value in found.items() if key != "iface"}


@routes("GET", "/nodes/{node}/capabilities")
async def capabilities(_call: Call) -> Any:
    """What there is below."""
    return [{"name": "qemu"}]


@routes("GET", "/nodes/{node}/capabilities/qemu")
async def qemu_capabilities(_call: Call) -> Any:
    """What there is below."""
    return [{"name": name} for name in ("cpu", "machines", "migration")]


@routes("GET", "/nodes/{node}/capabilities/qemu/cpu")
async def cpu_models(_call: Call) -> Any:
    """CPU models that a guest may have."""
    return [{"name": name, "custom": 0, "vendor": "default"} for name in sorted(CPU_MODELS)]


@routes("GET", "/nodes/{node}/capabilities/qemu/machines")
async def machines(_call: Call) -> Any:
    """Machine types that a guest may have."""
    kinds = (("pc-i440fx", "i440fx"), ("pc-q35", "q35"))
    return [
        {"id": f"{name}-{version}", "type": kind, "version": version}
        for name, kind in kinds
        for version in QEMU_VERSIONS
    ]


@routes("GET", "/nodes/{node}/tasks")
async def tasks(call: Call) -> Any:
    """Tasks of a host, newest first."""
    vm_id, running, node = call.form.get("vmid"), call.form.get("source") == "active", call.node
    rows = [
        task_row(task)
        for task in call.sim.cluster.tasks.values()
        if task.node == node
        and may_see(call, task.user)
        and vm_id in (None, task.subject)
        and (task.running or not running)
        and call.form.get("typefilter") in (None, task.kind)
        and not (call.flag("errors") and task.exit_status in ("", "OK"))
        and call.number("since", 0) <= task.started_at <= call.number("until", call.sim.now_s)
        and call.form.get("userfilter", "") in task.user
    ]
    start, limit = call.number("start", 0), call.number("limit", LOG_LINES)
    return sorted(rows, key=lambda row: row["starttime"], reverse=True)[start : start + limit]


@routes("GET", "/nodes/{node}/tasks/{upid}/status")
async def task_status(call: Call) -> Any:
    """Whether a task runs, or how it ended."""
    task = _task(call)
    row = task_row(task)
    row.pop("saved")
    row.pop("endtime", None)
    return (
        {**row, "status": "running"} if task.running else {**row, "status": "stopped", "exitstatus": task.exit_status}
    )


@routes("GET", "/nodes/{node}/tasks/{upid}/log")
async def task_log(call: Call) -> Any:
    """Lines of a task log."""
    lines = _task(call).log
    start, limit = call.number("start", 0), call.number("limit", LOG_LINES)
    numbered = [{"n": number, "t": text} for number, text in enumerate(lines, start=1)]
    return numbered[start : start + limit] or [{"n": 1, "t": "no content"}]


@routes("GET", "/nodes/{node}/tasks/{upid}")
async def task_index(call: Call) -> Any:
    """What there is below a task."""
    _task(call)
    return [{"name": "log"}, {"name": "status"}]


@routes("DELETE", "/nodes/{node}/tasks/{upid}")
async def stop_task(call: Call) -> Any:
    """Stop a task: one's own, or any with Sys.Modify."""
    task = _task(call)
    if task.user != call.caller.id:
        call.require(f"/nodes/{call.node}", "Sys.Modify")
    call.sim.tasks.interrupt(task.upid)


def _task(call: Call) -> Task:
    assert call.node
    task = call.sim.tasks.get(call.params["upid"])
    if not may_see(call, task.user):
        raise forbidden(f"/nodes/{task.node}", "Sys.Audit")
    return task
