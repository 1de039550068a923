"""Calls on a host: status, network, storages and their content, tasks."""

from typing import Any

import aiohttp

from infraflux_lab.proxmox.api_cluster import may_see
from infraflux_lab.proxmox.drives import volumes_of
from infraflux_lab.proxmox.errors import PveError, forbidden
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import Task, Volume
from infraflux_lab.proxmox.storage import url_metadata
from infraflux_lab.proxmox.tasks import Worker
from infraflux_lab.proxmox.views import node_row, node_status, task_row

routes = Routes()
LOG_LINES = 50


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


@routes("GET", "/nodes/{node}/network")
async def network(call: Call) -> Any:
    """Bridges."""
    call.require(f"/nodes/{call.node}", "Sys.Audit")
    kind = call.form.get("type")
    return [
        {"iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "bridge_ports": "", "bridge_vlan_aware": 1}
        for bridge in call.sim.cluster.spec.bridges
        if kind in (None, "bridge", "any_bridge", "any_local_bridge", "include_sdn")
    ]


@routes("GET", "/storage")
async def storage_definitions(call: Call) -> Any:
    """Storages of the cluster."""
    return [
        {
            "storage": storage.id,
            "type": storage.type,
            "content": ",".join(sorted(storage.content)),
            "shared": int(storage.shared),
        }
        for storage in call.sim.cluster.spec.storages
        if call.allowed(f"/storage/{storage.id}", "Datastore.Audit", "Datastore.AllocateSpace")
    ]


@routes("GET", "/storage/{storage}")
async def storage_definition(call: Call) -> Any:
    """One storage of the cluster."""
    storage = call.sim.cluster.storage(call.params["storage"])
    call.require(f"/storage/{storage.id}", "Datastore.Allocate")
    return {
        "storage": storage.id,
        "type": storage.type,
        "content": ",".join(sorted(storage.content)),
        "shared": int(storage.shared),
    }


@routes("GET", "/nodes/{node}/storage")
async def storages(call: Call) -> Any:
    """Storages as the host sees them."""
    content, wanted, node = call.form.get("content"), call.form.get("storage"), call.node
    return [
        call.sim.storages.status(storage.id, node)
        for storage in call.sim.cluster.spec.storages
        if call.allowed(f"/storage/{storage.id}", "Datastore.Audit", "Datastore.AllocateSpace")
        and wanted in (None, storage.id)
        and (content is None or set(call.names("content")) & set(storage.content))
    ]


@routes("GET", "/nodes/{node}/storage/{storage}/status")
async def storage_status(call: Call) -> Any:
    """Capacity of one storage."""
    call.require(f"/storage/{call.params['storage']}", "Datastore.Audit", "Datastore.AllocateSpace")
    status = call.sim.storages.status(call.params["storage"], call.node)
    return {key: value for key, value in status.items() if key not in ("storage", "used_fraction")}


@routes("GET", "/nodes/{node}/storage/{storage}/content")
async def content(call: Call) -> Any:
    """Volumes on a storage."""
    storage = call.params["storage"]
    call.require(f"/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace")
    kind, vm_id = call.form.get("content"), call.form.get("vmid")
    return [
        _volume_row(volume)
        for volume in sorted(call.sim.storages.volumes(storage, call.node), key=lambda volume: volume.volid)
        if kind in (None, volume.content) and vm_id in (None, str(volume.vm_id))
    ]


def _volume_row(volume: Volume) -> dict[str, Any]:
    row = {
        "volid": volume.volid,
        "content": volume.content,
        "format": volume.format,
        "size": volume.size,
        "ctime": volume.created_at,
    }
    return {**row, "vmid": volume.vm_id} if volume.vm_id is not None else row


@routes("GET", "/nodes/{node}/storage/{storage}/content/{volume:.+}")
async def volume(call: Call) -> Any:
    """Attributes of one volume."""
    found = _volume(call, "Datastore.Audit", "Datastore.AllocateSpace")
    return {
        "path": f"/dev/{found.storage}/{found.volid.partition(':')[2]}",
        "size": found.size,
        "used": found.size,
        "format": found.format,
    }


@routes("DELETE", "/nodes/{node}/storage/{storage}/content/{volume:.+}")
async def delete_volume(call: Call) -> Any:
    """Delete a volume in a task."""
    found, node = _volume(call, "Datastore.Allocate", "Datastore.AllocateSpace"), call.node
    used_by = next(
        (
            guest
            for guest in call.sim.cluster.guests.values()
            if guest.vm_id == found.vm_id and found.volid in (volid for _, volid in volumes_of(guest))
        ),
        None,
    )
    if used_by:
        raise PveError(f"Cannot remove image, a guest with VMID '{used_by.vm_id}' exists!")

    async def work(worker: Worker) -> None:
        call.sim.storages.delete(found.volid, node)
        worker.log(f"Removed volume '{found.volid}'")

    return call.sim.tasks.start(
        node=node, kind="imgdel", subject=found.volid.replace(":", "@"), user=call.caller.id, work=work
    )


def _volume(call: Call, *privileges: str) -> Volume:
    storage, name = call.params["storage"], call.params["volume"]
    call.require(f"/storage/{storage}", *privileges)
    volid = name if ":" in name else f"{storage}:{name}"
    found = call.sim.storages.find(volid, call.node)
    if found is None:
        raise PveError(f"volume_size_info on '{volid}' failed - no such logical volume or file: does not exist")
    return found


@routes("GET", "/nodes/{node}/query-url-metadata")
async def query_url_metadata(call: Call) -> Any:
    """What a URL serves."""
    if not (call.allowed("/", "Sys.Audit") and call.allowed("/", "Sys.Modify")):
        call.require(f"/nodes/{call.node}", "Sys.AccessNetwork")
    url = call.need("url")
    try:
        return await url_metadata(url)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PveError(f"invalid server response: '500 {error}'") from None


@routes("POST", "/nodes/{node}/storage/{storage}/download-url")
async def download_url(call: Call) -> Any:
    """Fetch a file into the storage in a task."""
    storage, node = call.params["storage"], call.node
    if not call.allowed(f"/storage/{storage}", "Datastore.AllocateTemplate"):
        raise forbidden(f"/storage/{storage}", "Datastore.AllocateTemplate")
    if not (call.allowed("/", "Sys.Audit") and call.allowed("/", "Sys.Modify")):
        call.require(f"/nodes/{node}", "Sys.AccessNetwork")
    url = call.need("url")
    volid = call.sim.storages.check_download(
        storage_id=storage, node=node, content=call.need("content"), filename=call.need("filename")
    )
    form = {**call.form, "url": url}

    async def work(worker: Worker) -> None:
        await call.sim.storages.download(worker, volid=volid, node=node, form=form)

    return call.sim.tasks.start(
        node=node, kind="download", subject=call.need("filename"), user=call.caller.id, work=work
    )


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


@routes("DELETE", "/nodes/{node}/tasks/{upid}")
async def stop_task(call: Call) -> Any:
    """Stop a task: those of the lab are short, so a finished one is all that is ever stopped."""
    task = _task(call)
    if task.running:
        raise PveError("the lab does not interrupt tasks")


def _task(call: Call) -> Task:
    assert call.node
    task = call.sim.tasks.get(call.params["upid"])
    if not may_see(call, task.user):
        raise forbidden(f"/nodes/{task.node}", "Sys.Audit")
    return task
