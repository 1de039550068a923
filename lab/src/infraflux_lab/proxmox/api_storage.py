"""Calls on storages and what is on them."""

import hashlib
from typing import Any

import aiohttp

from infraflux_lab.proxmox.drives import volumes_of
from infraflux_lab.proxmox.errors import PveError, forbidden
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import Volume
from infraflux_lab.proxmox.storage import path_of, url_metadata
from infraflux_lab.proxmox.tasks import Worker
from infraflux_lab.spec import StorageSpec

routes = Routes()


def _definition(storage: StorageSpec) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "storage": storage.id,
        "type": storage.type,
        "content": ",".join(sorted(storage.content)),
        "shared": int(storage.shared),
        "digest": hashlib.sha1(storage.model_dump_json().encode(), usedforsecurity=False).hexdigest(),
    }
    if storage.file_based:
        shown["path"] = "/var/lib/vz" if storage.id == "local" else f"/mnt/pve/{storage.id}"
    if storage.type == "lvmthin":
        shown |= {"vgname": "pve", "thinpool": "data"}
    if storage.type == "zfspool":
        shown["pool"] = f"rpool/{storage.id}"
    return shown


@routes("GET", "/storage")
async def storage_definitions(call: Call) -> Any:
    """Storages of the cluster."""
    kind = call.form.get("type")
    return [
        _definition(storage)
        for storage in call.sim.cluster.spec.storages
        if call.allowed(f"/storage/{storage.id}", "Datastore.Audit", "Datastore.AllocateSpace")
        and kind in (None, storage.type)
    ]


@routes("GET", "/storage/{storage}")
async def storage_definition(call: Call) -> Any:
    """One storage of the cluster."""
    storage = call.sim.cluster.storage(call.params["storage"])
    call.require(f"/storage/{storage.id}", "Datastore.Allocate")
    return _definition(storage)


@routes("GET", "/nodes/{node}/storage/{storage}")
async def storage_index(call: Call) -> Any:
    """What there is below a storage."""
    storage = call.sim.cluster.storage(call.params["storage"])
    call.require(f"/storage/{storage.id}", "Datastore.Audit", "Datastore.AllocateSpace")
    return [{"subdir": name} for name in ("content", "download-url", "status", "upload")]


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
        "path": path_of(found.volid)
        if call.sim.cluster.storage(found.storage).file_based
        else f"/dev/pve/{found.volid.partition(':')[2]}",
        "size": found.size,
        "used": found.size,
        "format": found.format,
        **({"notes": found.notes} if found.notes else {}),
        **({"protected": 1} if found.protected else {}),
    }


@routes("PUT", "/nodes/{node}/storage/{storage}/content/{volume:.+}")
async def describe_volume(call: Call) -> Any:
    """Notes and protection of a backup."""
    found = _volume(call, "Datastore.Allocate", "Datastore.AllocateSpace")
    if found.content != "backup":
        raise PveError(f"volume '{found.volid}' is no backup, notes and protection are for backups alone")
    found.notes = call.form.get("notes", found.notes)
    found.protected = call.number("protected", found.protected)
    call.sim.cluster.save_volume(found)


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

    if found.protected:
        raise PveError(f"error with cfs lock 'storage-{found.storage}': can't remove protected archive '{found.volid}'")

    async def work(worker: Worker) -> None:
        call.sim.storages.delete(found.volid, node)
        worker.log(f"Removed volume '{found.volid}'")

    owner = f"{found.vm_id}@" if found.vm_id is not None else ""
    return call.sim.tasks.start(
        node=node, kind="imgdel", subject=f"{owner}{found.storage}", user=call.caller.id, work=work
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
    volid = call.sim.storages.check_upload(
        storage_id=storage, content=call.need("content"), filename=call.need("filename"), refusal="download"
    )
    form = {**call.form, "url": url}

    async def work(worker: Worker) -> None:
        await call.sim.storages.download(worker, volid=volid, node=node, form=form)

    return call.sim.tasks.start(
        node=node, kind="download", subject=call.need("filename"), user=call.caller.id, work=work
    )


@routes("POST", "/nodes/{node}/storage/{storage}/upload")
async def upload(call: Call) -> Any:
    """Take a file; an older one of the same name is overwritten."""
    storage, node, content = call.params["storage"], call.node, call.file
    call.require(f"/storage/{storage}", "Datastore.AllocateTemplate")
    volid = call.sim.storages.check_upload(
        storage_id=storage, content=call.need("content"), filename=call.need("filename"), refusal=""
    )
    if content is None:
        raise PveError("missing temporary file name")

    async def work(worker: Worker) -> None:
        await worker.begin("image-upload")
        worker.log(f"target file: {path_of(volid)}")
        call.sim.storages.keep_file(worker, volid=volid, node=node, form=call.form, content=content)

    return call.sim.tasks.start(node=node, kind="imgcopy", subject="", user=call.caller.id, work=work)
