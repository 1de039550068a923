"""Proxmox VE, read: what is there, what would go wrong, which machines no state knows."""

from infraflux.adapters.proxmox.addresses import answering
from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxMissing, ProxmoxReader
from infraflux.adapters.proxmox.observe import Guest, Host, Observed, StorageOnHost, observe, observe_guests
from infraflux.adapters.proxmox.orphans import Orphans, find_orphans, placement
from infraflux.adapters.proxmox.preflight import Finding, PreflightFailed, judge_preflight, require_passed
from infraflux.adapters.proxmox.remove import StrayRemover
from infraflux.adapters.proxmox.snapshot import Snapshot

__all__ = [
    "Finding",
    "Guest",
    "Host",
    "Observed",
    "Orphans",
    "PreflightFailed",
    "ProxmoxAccess",
    "ProxmoxMissing",
    "ProxmoxReader",
    "Snapshot",
    "StorageOnHost",
    "StrayRemover",
    "answering",
    "find_orphans",
    "judge_preflight",
    "observe",
    "observe_guests",
    "placement",
    "require_passed",
]
