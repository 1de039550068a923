"""State of one simulated cluster: in memory, written through to the store at every change."""

from collections.abc import Iterable
from typing import TypeVar

from infraflux_lab.contracts import EventSink
from infraflux_lab.faults import FaultBook
from infraflux_lab.latency import ProfileLatency
from infraflux_lab.proxmox.errors import PveError, no_such_guest
from infraflux_lab.proxmox.model import RUNNING, Guest, HaResource, HaRule, PciMapping, Pool, Record, Task, Volume
from infraflux_lab.spec import EnvironmentSpec, StorageSpec
from infraflux_lab.state import Store

T = TypeVar("T", bound=Record)
# Finished tasks kept; Proxmox keeps about this many in its index too.
TASKS_KEPT = 1000


class Cluster:
    """Hosts, guests, volumes, tasks, pools and HA of one environment."""

    def __init__(
        self,
        *,
        name: str,
        spec: EnvironmentSpec,
        store: Store,
        events: EventSink,
        faults: FaultBook,
        latency: ProfileLatency,
    ) -> None:
        self.name, self.spec = name, spec
        self.store, self.events, self.faults, self.latency = store, events, faults, latency
        self.guests = {int(key): guest for key, guest in self.load("guests", Guest).items()}
        self.volumes = self.load("volumes", Volume)
        self.tasks = self.load("tasks", Task)
        self.pools = self.load("pools", Pool)
        self.pci_mappings = self.load("pci-mappings", PciMapping)
        self.ha_resources = self.load("ha-resources", HaResource)
        self.ha_rules = self.load("ha-rules", HaRule)

    def guest(self, vm_id: int, *, node: str | None = None) -> Guest:
        """The guest, which must be on this node if one is named; else the error that means 'gone'."""
        found = self.guests.get(vm_id)
        if found is None or (node is not None and found.node != node):
            raise no_such_guest(node or "-", vm_id)
        return found

    def storage(self, storage_id: str) -> StorageSpec:
        """Definition of a storage."""
        found = next((storage for storage in self.spec.storages if storage.id == storage_id), None)
        if found is None:
            raise PveError(f"storage '{storage_id}' does not exist")
        return found

    def offline(self, node: str) -> bool:
        """Whether the host is out of order."""
        return self.faults.active("host-offline", f"{self.name}/{node}") is not None

    def online_hosts(self) -> list[str]:
        """Hosts that answer."""
        return [node for node in self.spec.hosts if not self.offline(node)]

    def memory_used_mib(self, node: str) -> int:
        """Memory of the guests that run on the host."""
        return sum(guest.memory_mib for guest in self.guests_on(node) if guest.status == RUNNING)

    def guests_on(self, node: str) -> Iterable[Guest]:
        """Guests of a host."""
        return (guest for guest in self.guests.values() if guest.node == node)

    def pool_of(self, vm_id: int) -> str | None:
        """Pool that the guest is in."""
        return next((pool.id for pool in self.pools.values() if vm_id in pool.guests), None)

    def save_guest(self, guest: Guest) -> None:
        """Keep a guest."""
        self.guests[guest.vm_id] = guest
        self.put("guests", str(guest.vm_id), guest)

    def remove_guest(self, guest: Guest) -> None:
        """Forget a guest, and its place in a pool."""
        self.guests.pop(guest.vm_id, None)
        self.drop("guests", str(guest.vm_id))
        for pool in self.pools.values():
            if guest.vm_id in pool.guests:
                pool.guests.remove(guest.vm_id)
                self.save_pool(pool)

    def save_volume(self, volume: Volume) -> None:
        """Keep a volume."""
        self.volumes[volume.key] = volume
        self.put("volumes", volume.key, volume)

    def remove_volume(self, volume: Volume) -> None:
        """Forget a volume."""
        self.volumes.pop(volume.key, None)
        self.drop("volumes", volume.key)

    def save_task(self, task: Task) -> None:
        """Keep a task; the oldest finished ones make room."""
        self.tasks[task.upid] = task
        self.put("tasks", task.upid, task)
        if len(self.tasks) > TASKS_KEPT:
            oldest = next((old for old in self.tasks.values() if not old.running), None)
            if oldest:
                del self.tasks[oldest.upid]
                self.drop("tasks", oldest.upid)

    def save_pool(self, pool: Pool) -> None:
        """Keep a pool."""
        self.pools[pool.id] = pool
        self.put("pools", pool.id, pool)

    def remove_pool(self, pool: Pool) -> None:
        """Forget a pool."""
        self.pools.pop(pool.id, None)
        self.drop("pools", pool.id)

    def save_pci_mapping(self, mapping: PciMapping) -> None:
        """Keep a PCI mapping."""
        self.pci_mappings[mapping.id] = mapping
        self.put("pci-mappings", mapping.id, mapping)

    def remove_pci_mapping(self, mapping: PciMapping) -> None:
        """Forget a PCI mapping."""
        self.pci_mappings.pop(mapping.id, None)
        self.drop("pci-mappings", mapping.id)

    def save_ha_resource(self, resource: HaResource) -> None:
        """Keep a guest's HA settings."""
        self.ha_resources[resource.sid] = resource
        self.put("ha-resources", resource.sid, resource)

    def remove_ha_resource(self, sid: str) -> None:
        """Forget a guest's HA settings, and its part in rules."""
        self.ha_resources.pop(sid, None)
        self.drop("ha-resources", sid)
        for rule in list(self.ha_rules.values()):
            if sid in rule.resources:
                rule.resources.remove(sid)
                self.save_ha_rule(rule) if rule.resources else self.remove_ha_rule(rule)

    def save_ha_rule(self, rule: HaRule) -> None:
        """Keep an HA rule."""
        self.ha_rules[rule.rule] = rule
        self.put("ha-rules", rule.rule, rule)

    def remove_ha_rule(self, rule: HaRule) -> None:
        """Forget an HA rule."""
        self.ha_rules.pop(rule.rule, None)
        self.drop("ha-rules", rule.rule)

    def load(self, space: str, kind: type[T]) -> dict[str, T]:
        """Records of a kind, as they were kept."""
        return {key: kind.of(body) for key, body in self.store.load(f"{self.name}:{space}").items()}

    def put(self, space: str, key: str, record: Record) -> None:
        """Keep a record."""
        self.store.put(f"{self.name}:{space}", key, record.body())

    def drop(self, space: str, key: str) -> None:
        """Forget a record."""
        self.store.drop(f"{self.name}:{space}", key)
