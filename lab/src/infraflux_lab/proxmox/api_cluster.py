"""Calls on the cluster: version, resources, HA."""

from typing import Any

from infraflux_lab.proxmox import RELEASE, VERSION
from infraflux_lab.proxmox.errors import PveError, bad_parameter
from infraflux_lab.proxmox.guests import MAX_VM_ID, MIN_VM_ID
from infraflux_lab.proxmox.ha import full_sid
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import HaResource, HaRule
from infraflux_lab.proxmox.views import guest_row, node_row, storage_row, task_row

routes = Routes()


@routes("GET", "/version")
async def version(_call: Call) -> Any:
    """Version of the simulated Proxmox; `repoid` says that it is one."""
    return {"release": RELEASE, "version": VERSION, "repoid": "infraflux-lab-simulated"}


@routes("GET", "/cluster")
async def index(_call: Call) -> Any:
    """What there is below."""
    return [
        {"name": name}
        for name in ("backup-info", "config", "ha", "mapping", "nextid", "options", "resources", "status")
    ]


@routes("GET", "/cluster/config/nodes")
async def config_nodes(call: Call) -> Any:
    """Hosts as the cluster knows them."""
    call.require("/", "Sys.Audit")
    return [
        {"name": name, "node": name, "nodeid": str(number), "quorum_votes": "1", "ring0_addr": f"192.0.2.{number}"}
        for number, name in enumerate(call.sim.cluster.spec.hosts, start=1)
    ]


@routes("GET", "/cluster/status")
async def cluster_status(call: Call) -> Any:
    """Quorum and hosts."""
    call.require("/", "Sys.Audit")
    hosts, online = call.sim.cluster.spec.hosts, call.sim.cluster.online_hosts()
    head = {
        "type": "cluster",
        "id": "cluster",
        "name": call.sim.cluster.name,
        "nodes": len(hosts),
        "quorate": int(len(online) * 2 > len(hosts) or len(hosts) == len(online)),
        "version": len(hosts),
    }
    rows = [
        {
            "type": "node",
            "id": f"node/{name}",
            "name": name,
            "nodeid": number,
            "ip": str(call.sim.cluster.spec.address),
            "level": "",
            "local": int(name == call.sim.entry_host),
            "online": int(name in online),
        }
        for number, name in enumerate(hosts, start=1)
    ]
    return [head, *rows]


@routes("GET", "/cluster/resources")
async def resources(call: Call) -> Any:
    """Everything the caller may see, for one type or all."""
    kind, cluster = call.form.get("type"), call.sim.cluster
    rows: list[dict[str, Any]] = []
    if kind in (None, "vm"):
        guests = sorted(cluster.guests.values(), key=lambda guest: guest.vm_id)
        rows += [guest_row(call.sim, guest) for guest in guests if call.allowed(f"/vms/{guest.vm_id}", "VM.Audit")]
    if kind in (None, "node"):
        rows += [node_row(call.sim, node) for node in cluster.spec.hosts if call.allowed(f"/nodes/{node}", "Sys.Audit")]
    if kind in (None, "storage"):
        rows += [
            storage_row(call.sim, node, storage)
            for node in cluster.spec.hosts
            for storage in cluster.spec.storages
            if call.allowed(f"/storage/{storage.id}", "Datastore.Audit", "Datastore.AllocateSpace")
        ]
    return rows


@routes("GET", "/cluster/nextid")
async def next_id(call: Call) -> Any:
    """A free guest id, or the one asked about if it is free."""
    asked = call.form.get("vmid")
    if asked is not None:
        if int(asked) in call.sim.cluster.guests:
            raise bad_parameter("vmid", f"VM {asked} already exists")
        return asked
    return str(next(number for number in range(MIN_VM_ID, MAX_VM_ID) if number not in call.sim.cluster.guests))


@routes("GET", "/cluster/tasks")
async def cluster_tasks(call: Call) -> Any:
    """Recent tasks of all hosts."""
    rows = [task_row(task) for task in call.sim.cluster.tasks.values() if may_see(call, task.user)]
    return sorted(rows, key=lambda row: row["starttime"], reverse=True)[:100]


def may_see(call: Call, user: str) -> bool:
    """Own tasks always, others' with Sys.Audit."""
    return user == call.caller.id or call.allowed("/", "Sys.Audit")


@routes("GET", "/cluster/options")
async def options(call: Call) -> Any:
    """Datacenter options: all at their defaults."""
    call.require("/", "Sys.Audit")
    return {"keyboard": "en-us", "mac_prefix": "BC:24:11"}


@routes("GET", "/cluster/ha/status/current")
async def ha_status(call: Call) -> Any:
    """Quorum, manager and the guests under HA."""
    call.require("/", "Sys.Audit")
    cluster = call.sim.cluster
    rows: list[dict[str, Any]] = [
        {"id": "quorum", "type": "quorum", "node": call.sim.entry_host, "status": "OK", "quorate": 1}
    ]
    for resource in cluster.ha_resources.values():
        guest = cluster.guests.get(resource.vm_id)
        rows.append(
            {
                "id": f"service:{resource.sid}",
                "type": "service",
                "sid": resource.sid,
                "node": guest.node if guest else "",
                "state": resource.state,
                "request_state": resource.state,
                "status": f"{resource.sid} ({guest.node if guest else '-'}, {resource.state})",
            }
        )
    return rows


@routes("GET", "/cluster/ha/groups")
async def ha_groups(call: Call) -> Any:
    """Groups are gone in Proxmox VE 9: rules took their place."""
    call.require("/", "Sys.Audit")
    raise PveError("cannot get groups: ha groups have been migrated to rules")


@routes("GET", "/cluster/ha/resources")
async def ha_resources(call: Call) -> Any:
    """Guests under HA."""
    call.require("/", "Sys.Audit")
    return [_ha_resource_view(resource) for resource in call.sim.cluster.ha_resources.values()]


@routes("POST", "/cluster/ha/resources")
async def add_ha_resource(call: Call) -> Any:
    """Put a guest under HA."""
    call.require("/", "Sys.Console")
    call.sim.ha.add_resource(call.form)


@routes("GET", "/cluster/ha/resources/{sid}")
async def ha_resource(call: Call) -> Any:
    """HA settings of a guest."""
    call.require("/", "Sys.Audit")
    return _ha_resource_view(call.sim.ha.resource(call.params["sid"]))


@routes("PUT", "/cluster/ha/resources/{sid}")
async def change_ha_resource(call: Call) -> Any:
    """Change HA settings of a guest."""
    call.require("/", "Sys.Console")
    call.sim.ha.change_resource(call.params["sid"], call.form)


@routes("DELETE", "/cluster/ha/resources/{sid}")
async def remove_ha_resource(call: Call) -> Any:
    """Take a guest out of HA."""
    call.require("/", "Sys.Console")
    call.sim.ha.resource(call.params["sid"])
    call.sim.cluster.remove_ha_resource(full_sid(call.params["sid"]))


@routes("POST", "/cluster/ha/resources/{sid}/migrate")
async def migrate_ha_resource(call: Call) -> Any:
    """Ask HA to move a guest."""
    call.require("/", "Sys.Console")
    return call.sim.ha.migrate(call.params["sid"], call.need("node"), user=call.caller.id)


@routes("GET", "/cluster/ha/rules")
async def ha_rules(call: Call) -> Any:
    """Affinity rules."""
    call.require("/", "Sys.Audit")
    kind = call.form.get("type")
    return [_ha_rule_view(rule) for rule in call.sim.cluster.ha_rules.values() if kind in (None, rule.type)]


@routes("POST", "/cluster/ha/rules")
async def add_ha_rule(call: Call) -> Any:
    """Add a rule."""
    call.require("/", "Sys.Console")
    call.sim.ha.put_rule(call.form)


@routes("GET", "/cluster/ha/rules/{rule}")
async def ha_rule(call: Call) -> Any:
    """One rule."""
    call.require("/", "Sys.Audit")
    return _ha_rule_view(call.sim.ha.rule(call.params["rule"]))


@routes("PUT", "/cluster/ha/rules/{rule}")
async def change_ha_rule(call: Call) -> Any:
    """Change a rule."""
    call.require("/", "Sys.Console")
    call.sim.ha.put_rule(call.form, call.sim.ha.rule(call.params["rule"]))


@routes("DELETE", "/cluster/ha/rules/{rule}")
async def remove_ha_rule(call: Call) -> Any:
    """Remove a rule."""
    call.require("/", "Sys.Console")
    call.sim.cluster.remove_ha_rule(call.sim.ha.rule(call.params["rule"]))


def _ha_resource_view(resource: HaResource) -> dict[str, Any]:
    view = {**resource.body(), "type": "vm"}
    return {key: value for key, value in view.items() if value is not None}


def _ha_rule_view(rule: HaRule) -> dict[str, Any]:
    view = {**rule.body(), "resources": ",".join(rule.resources)}
    return {key: value for key, value in view.items() if value is not None and (key != "disable" or value)}
