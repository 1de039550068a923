"""Calls on pools."""

from typing import Any

from infraflux_lab.proxmox.errors import PveError
from infraflux_lab.proxmox.http import Call, Routes
from infraflux_lab.proxmox.model import Pool
from infraflux_lab.proxmox.views import guest_row, storage_row

routes = Routes()


@routes("GET", "/pools")
async def pools(call: Call) -> Any:
    """All pools, or one with its members where `poolid` is given."""
    pool_id = call.form.get("poolid")
    if pool_id is not None:
        call.require(f"/pool/{pool_id}", "Pool.Audit", "Pool.Allocate")
        return [_pool_with_members(call, _pool(call, pool_id))]
    return [
        {"poolid": pool.id, **({"comment": pool.comment} if pool.comment else {})}
        for pool in call.sim.cluster.pools.values()
        if call.allowed(f"/pool/{pool.id}", "Pool.Audit", "Pool.Allocate")
    ]


@routes("GET", "/pools/{poolid}")
async def pool_by_path(call: Call) -> Any:
    """One pool (the older form of the call, as the two below)."""
    pool_id = call.params["poolid"]
    call.require(f"/pool/{pool_id}", "Pool.Audit", "Pool.Allocate")
    found = _pool_with_members(call, _pool(call, pool_id))
    found.pop("poolid")
    return found


@routes("PUT", "/pools/{poolid}")
async def change_pool_by_path(call: Call) -> Any:
    """Change a pool."""
    _change(call, call.params["poolid"])


@routes("DELETE", "/pools/{poolid}")
async def remove_pool_by_path(call: Call) -> Any:
    """Remove an empty pool."""
    _remove(call, call.params["poolid"])


@routes("POST", "/pools")
async def add_pool(call: Call) -> Any:
    """Make a pool."""
    pool_id = call.need("poolid")
    call.require(f"/pool/{pool_id}", "Pool.Allocate")
    if pool_id in call.sim.cluster.pools:
        raise PveError(f"create pool failed: pool '{pool_id}' already exists")
    call.sim.cluster.save_pool(Pool(id=pool_id, comment=call.form.get("comment", "")))


@routes("PUT", "/pools")
async def change_pool(call: Call) -> Any:
    """Change the comment; add or remove members."""
    _change(call, call.need("poolid"))


def _change(call: Call, pool_id: str) -> None:
    call.require(f"/pool/{pool_id}", "Pool.Allocate")
    pool = _pool(call, pool_id)
    pool.comment = call.form.get("comment", pool.comment)
    remove = call.flag("delete")
    for text in call.names("vms"):
        vm_id = int(text)
        if remove:
            _leave(pool, vm_id)
        else:
            _join(call, pool, vm_id)
    storages = set(call.names("storage"))
    pool.storages = sorted(set(pool.storages) - storages if remove else set(pool.storages) | storages)
    call.sim.cluster.save_pool(pool)


def _leave(pool: Pool, vm_id: int) -> None:
    if vm_id not in pool.guests:
        raise PveError(f"update pools failed: VM {vm_id} is not a pool member")
    pool.guests.remove(vm_id)


def _join(call: Call, pool: Pool, vm_id: int) -> None:
    cluster = call.sim.cluster
    if vm_id not in cluster.guests:
        raise PveError(f"update pools failed: no such VM or CT {vm_id}")
    home = cluster.pool_of(vm_id)
    if home == pool.id:
        raise PveError(f"update pools failed: VM {vm_id} is already a pool member")
    if home and not call.flag("allow-move"):
        raise PveError(f"update pools failed: VM {vm_id} belongs already to pool '{home}' and allow-move is not set")
    if home:
        cluster.pools[home].guests.remove(vm_id)
        cluster.save_pool(cluster.pools[home])
    pool.guests = sorted({*pool.guests, vm_id})


@routes("DELETE", "/pools")
async def remove_pool(call: Call) -> Any:
    """Remove an empty pool."""
    _remove(call, call.need("poolid"))


def _remove(call: Call, pool_id: str) -> None:
    call.require(f"/pool/{pool_id}", "Pool.Allocate")
    pool = _pool(call, pool_id)
    if pool.guests or pool.storages:
        what = "contains VMs" if pool.guests else "contains storage"
        raise PveError(f"delete pool failed: pool '{pool_id}' is not empty ({what})")
    call.sim.cluster.remove_pool(pool)


def _pool(call: Call, pool_id: str) -> Pool:
    pool = call.sim.cluster.pools.get(pool_id)
    if pool is None:
        raise PveError(f"pool '{pool_id}' does not exist")
    return pool


def _pool_with_members(call: Call, pool: Pool) -> dict[str, Any]:
    guests = [call.sim.cluster.guests[vm_id] for vm_id in pool.guests if vm_id in call.sim.cluster.guests]
    members = [guest_row(call.sim, guest) for guest in guests]
    members += [
        storage_row(call.sim, node, call.sim.cluster.storage(name))
        for name in pool.storages
        for node in call.sim.cluster.spec.hosts
    ]
    kind = call.form.get("type")
    members = [row for row in members if kind in (None, row["type"])]
    return {"poolid": pool.id, "comment": pool.comment, "members": members}
