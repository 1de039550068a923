"""Rows that several calls show: guests, hosts, storages, tasks."""

import time
from typing import Any

from infraflux_lab.proxmox.drives import volume_of
from infraflux_lab.proxmox.engine import Engine
from infraflux_lab.proxmox.model import RUNNING, Guest, Task
from infraflux_lab.proxmox.schema import is_drive
from infraflux_lab.spec import StorageSpec

MIB = 1024**2
HOST_BASE_MEMORY_MIB = 1024
CPU_MODEL = "InfraFlux lab (simulated)"


def guest_status(sim: Engine, guest: Guest) -> dict[str, Any]:
    """What `status/current` and the guest lists share."""
    running = guest.status == RUNNING
    status: dict[str, Any] = {
        "vmid": guest.vm_id,
        "name": guest.name,
        "status": guest.status,
        "cpus": guest.cpus,
        "cpu": 0.01 if running else 0,
        "maxmem": guest.memory_mib * MIB,
        "mem": guest.memory_mib * MIB // 4 if running else 0,
        "maxdisk": boot_disk_bytes(sim, guest),
        "disk": 0,
        "diskread": 0,
        "diskwrite": 0,
        "netin": 0,
        "netout": 0,
        "uptime": int(time.time() - guest.started_at) if running else 0,
    }
    if guest.wanted.get("tags"):
        status["tags"] = guest.wanted["tags"]
    if guest.template:
        status["template"] = 1
    lock = lock_of(sim, guest)
    if lock:
        status["lock"] = lock
    if running:
        status["pid"] = 100000 + guest.vm_id % 100000
    return status


def lock_of(sim: Engine, guest: Guest) -> str | None:
    """The lock that stands on a guest, ordered or its own."""
    fault = sim.cluster.faults.active("vm-lock", f"{sim.cluster.name}/{guest.vm_id}")
    if fault is not None:
        return fault.get("lock", "backup")
    return guest.config.get("lock")


def boot_disk_bytes(sim: Engine, guest: Guest) -> int:
    """Size of the first disk."""
    for option, text in sorted(guest.config.items()):
        if is_drive(option) and "media=cdrom" not in str(text):
            volume = sim.storages.find(volume_of(text), guest.node)
            return volume.size if volume else 0
    return 0


def guest_row(sim: Engine, guest: Guest) -> dict[str, Any]:
    """A guest in `cluster/resources` and in pools."""
    row = {**guest_status(sim, guest), "id": f"qemu/{guest.vm_id}", "type": "qemu", "node": guest.node}
    row["maxcpu"] = row.pop("cpus")
    row["template"] = int(guest.template)
    row.pop("pid", None)
    if sim.cluster.offline(guest.node):
        row["status"] = "unknown"
    pool = sim.cluster.pool_of(guest.vm_id)
    if pool:
        row["pool"] = pool
    resource = sim.cluster.ha_resources.get(f"vm:{guest.vm_id}")
    if resource:
        row["hastate"] = resource.state
    return row


def node_row(sim: Engine, node: str) -> dict[str, Any]:
    """A host in `nodes` and `cluster/resources`."""
    if sim.cluster.offline(node):
        return {"id": f"node/{node}", "type": "node", "node": node, "status": "offline"}
    host = sim.cluster.spec.hosts[node]
    return {
        "id": f"node/{node}",
        "type": "node",
        "node": node,
        "status": "online",
        "level": "",
        "cpu": 0.02,
        "maxcpu": host.cores,
        "mem": (HOST_BASE_MEMORY_MIB + sim.cluster.memory_used_mib(node)) * MIB,
        "maxmem": host.memory_mib * MIB,
        "disk": 8 * 1024 * MIB,
        "maxdisk": 100 * 1024 * MIB,
        "uptime": sim.uptime_s,
    }


def node_status(sim: Engine, node: str) -> dict[str, Any]:
    """`nodes/N/status`."""
    host = sim.cluster.spec.hosts[node]
    total = host.memory_mib * MIB
    used = (HOST_BASE_MEMORY_MIB + sim.cluster.memory_used_mib(node)) * MIB
    return {
        "cpu": 0.02,
        "wait": 0,
        "uptime": sim.uptime_s,
        "loadavg": ["0.10", "0.10", "0.10"],
        "pveversion": f"pve-manager/{sim.version}/infraflux-lab-simulated",
        "kversion": "Linux 6.17.2-1-pve (simulated)",
        "current-kernel": {
            "sysname": "Linux",
            "release": "6.17.2-1-pve",
            "version": "#1 SMP PREEMPT_DYNAMIC (simulated)",
            "machine": "x86_64",
        },
        "boot-info": {"mode": "efi", "secureboot": 0},
        "cpuinfo": {
            "cores": host.cores,
            "cpus": host.cores,
            "sockets": 1,
            "model": CPU_MODEL,
            "mhz": "3000.000",
            "hvm": "1",
        },
        "memory": {"total": total, "used": used, "free": total - used, "available": total - used},
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {
            "total": 100 * 1024 * MIB,
            "used": 8 * 1024 * MIB,
            "free": 92 * 1024 * MIB,
            "avail": 92 * 1024 * MIB,
        },
    }


def storage_row(sim: Engine, node: str, storage: StorageSpec) -> dict[str, Any]:
    """A storage in `cluster/resources`."""
    status = sim.storages.status(storage.id, node)
    return {
        "id": f"storage/{node}/{storage.id}",
        "type": "storage",
        "node": node,
        "storage": storage.id,
        "plugintype": storage.type,
        "content": status["content"],
        "shared": status["shared"],
        "status": "unknown" if sim.cluster.offline(node) else "available",
        "disk": status["used"],
        "maxdisk": status["total"],
    }


def task_row(task: Task) -> dict[str, Any]:
    """A task in lists."""
    user, _, token = task.user.partition("!")
    row: dict[str, Any] = {
        "upid": task.upid,
        "node": task.node,
        "pid": task.pid,
        "pstart": task.pstart,
        "starttime": task.started_at,
        "type": task.kind,
        "id": task.subject,
        "user": user,
        "saved": "0" if task.running else "1",
    }
    if token:
        row["tokenid"] = token
    if not task.running:
        row |= {"endtime": task.ended_at, "status": task.exit_status}
    return row
