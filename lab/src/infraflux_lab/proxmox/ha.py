"""High availability: wanted states, affinity rules, recovery of guests from a dead host."""

import asyncio
from collections.abc import Mapping
from typing import Any

from infraflux_lab.proxmox.errors import PveError, TaskFailed, bad_parameter
from infraflux_lab.proxmox.guests import Guests
from infraflux_lab.proxmox.machines import machine_of
from infraflux_lab.proxmox.model import RUNNING, STOPPED, Guest, HaResource, HaRule
from infraflux_lab.proxmox.power import HOST_RESERVE_MIB
from infraflux_lab.proxmox.tasks import Worker

ON_STATES = ("started", "enabled")
HA_USER = "root@pam"


class HighAvailability:
    """The HA manager of a cluster."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests
        self._cluster = guests.cluster
        self._recoveries: set[asyncio.Task[None]] = set()

    def resource(self, sid: str) -> HaResource:
        """Settings of a guest; `100` means `vm:100`."""
        found = self._cluster.ha_resources.get(full_sid(sid))
        if found is None:
            raise PveError(f"no such resource '{full_sid(sid)}'")
        return found

    def rule(self, name: str) -> HaRule:
        """An affinity rule."""
        found = self._cluster.ha_rules.get(name)
        if found is None:
            raise PveError(f"no such ha rule '{name}'")
        return found

    def add_resource(self, form: Mapping[str, str]) -> None:
        """Put a guest under HA; HA starts or stops it to match the wanted state."""
        sid = full_sid(form.get("sid", ""))
        if sid in self._cluster.ha_resources:
            raise PveError(f"resource ID '{sid}' already defined")
        vm_id = int(sid.partition(":")[2])
        if vm_id not in self._cluster.guests:
            raise PveError(f"resource '{sid}' does not exist")
        resource = HaResource(sid=sid)
        _fill_resource(resource, form)
        self._cluster.save_ha_resource(resource)
        self.enforce(resource)

    def change_resource(self, sid: str, form: Mapping[str, str]) -> None:
        """Change settings."""
        resource = self.resource(sid)
        _fill_resource(resource, form)
        for name in filter(None, form.get("delete", "").split(",")):
            setattr(resource, name, HaResource.__dataclass_fields__[name].default)
        self._cluster.save_ha_resource(resource)
        self.enforce(resource)

    def enforce(self, resource: HaResource) -> None:
        """Start or stop the guest where it is not as wanted."""
        guest = self._cluster.guests.get(resource.vm_id)
        if guest is None or guest.config.get("lock") or self._cluster.offline(guest.node):
            return
        if resource.state in ON_STATES and guest.status == STOPPED:
            self._guests.power.start(guest, user=HA_USER)
        elif resource.state in ("stopped", "disabled") and guest.status == RUNNING:
            self._guests.power.shutdown(guest, user=HA_USER, force=True)

    def set_state(self, vm_id: int, state: str) -> bool:
        """What start and stop mean for a guest under HA; False where it is not."""
        resource = self._cluster.ha_resources.get(f"vm:{vm_id}")
        if resource is None or resource.state == "ignored":
            return False
        resource.state = state
        self._cluster.save_ha_resource(resource)
        return True

    def put_rule(self, form: Mapping[str, str], rule: HaRule | None = None) -> None:
        """Add a rule, or change one."""
        resources = [full_sid(sid) for sid in form.get("resources", "").split(",") if sid]
        unmanaged = [sid for sid in resources if sid not in self._cluster.ha_resources]
        if unmanaged:
            raise PveError(f"cannot use unmanaged resource(s) {', '.join(sorted(unmanaged))}.")
        if rule is None:
            rule = self._new_rule(form)
        if resources:
            rule.resources = sorted(resources)
        _fill_rule(rule, form)
        self._check_rule(rule)
        self._cluster.save_ha_rule(rule)

    def _new_rule(self, form: Mapping[str, str]) -> HaRule:
        name, kind = form.get("rule", ""), form.get("type", "")
        if name in self._cluster.ha_rules:
            raise PveError(f"HA rule '{name}' already exists")
        order = max((rule.order for rule in self._cluster.ha_rules.values()), default=0) + 1
        return HaRule(rule=name, type=kind, resources=[], order=order)

    def _check_rule(self, rule: HaRule) -> None:
        if rule.type == "node-affinity":
            unknown = [node for node in hosts_of(rule) if node not in self._cluster.spec.hosts]
            if not rule.nodes or unknown:
                raise bad_parameter("nodes", f"unknown or missing nodes: {', '.join(unknown)}")
        elif rule.affinity not in ("positive", "negative"):
            raise bad_parameter("affinity", "property is missing and it is not optional")
        elif len(rule.resources) < 2:
            raise bad_parameter("resources", "rule defines fewer than two resources")

    def host_lost(self, node: str) -> None:
        """A host went out of order: its guests are dark, those under HA come back elsewhere."""
        for guest in list(self._cluster.guests_on(node)):
            if guest.status != RUNNING:
                continue
            guest.status, guest.paused, guest.seed = STOPPED, False, {}
            guest.ha_state = "onboot" if guest.config.get("onboot") else ""
            self._cluster.save_guest(guest)
            self._guests.notifier.powered_off(machine_of(self._cluster, guest))
            resource = self._cluster.ha_resources.get(f"vm:{guest.vm_id}")
            if resource and resource.state in ON_STATES:
                recovery = asyncio.create_task(self._recover(guest))
                self._recoveries.add(recovery)
                recovery.add_done_callback(self._recoveries.discard)

    def host_back(self, node: str) -> None:
        """A host boots: guests with `onboot`, and those HA could not place elsewhere, start."""
        for guest in list(self._cluster.guests_on(node)):
            resource = self._cluster.ha_resources.get(f"vm:{guest.vm_id}")
            wanted = resource.state in ON_STATES if resource else guest.ha_state == "onboot"
            guest.ha_state = ""
            self._cluster.save_guest(guest)
            if wanted and guest.status == STOPPED:
                self._guests.power.start(guest, user=HA_USER)

    async def _recover(self, guest: Guest) -> None:
        await self._cluster.latency.sleep("ha-recovery")
        target = self.choose_host(guest)
        if target is None or not self._cluster.offline(guest.node):
            return
        self._guests.move_now(guest, target)
        self._guests.power.start(guest, user=HA_USER)

    def choose_host(self, guest: Guest) -> str | None:
        """The online host that rules allow and that has most memory left; None where there is none."""
        sid = f"vm:{guest.vm_id}"
        candidates = [node for node in self._cluster.online_hosts() if self._fits(guest, node)]
        for rule in self._cluster.ha_rules.values():
            if rule.disable or sid not in rule.resources:
                continue
            candidates = self._allowed(rule, guest, candidates)
        return max(candidates, key=self._memory_left, default=None)

    def _allowed(self, rule: HaRule, guest: Guest, candidates: list[str]) -> list[str]:
        if rule.type == "node-affinity":
            preferred = [node for node in candidates if node in hosts_of(rule)]
            return preferred if preferred or rule.strict else candidates
        others = {
            self._cluster.guests[vm_id].node
            for vm_id in (int(sid.partition(":")[2]) for sid in rule.resources)
            if vm_id != guest.vm_id and vm_id in self._cluster.guests
        }
        if rule.affinity == "negative":
            return [node for node in candidates if node not in others]
        return [node for node in candidates if node in others] or candidates

    def _fits(self, guest: Guest, node: str) -> bool:
        return node != guest.node and self._memory_left(node) >= guest.memory_mib

    def _memory_left(self, node: str) -> int:
        return self._cluster.spec.hosts[node].memory_mib - HOST_RESERVE_MIB - self._cluster.memory_used_mib(node)

    def migrate(self, sid: str, target: str, *, user: str) -> dict[str, Any]:
        """Ask HA to move a guest."""
        guest = self._cluster.guest(self.resource(sid).vm_id)
        if target not in self._cluster.spec.hosts:
            raise bad_parameter("node", f"no such cluster node '{target}'")

        async def work(worker: Worker) -> None:
            await worker.begin("vm-migrate")
            if self._cluster.offline(target):
                raise TaskFailed(f"target node '{target}' is not online")
            self._guests.move_now(guest, target)

        self._guests.tasks.start(node=guest.node, kind="hamigrate", subject=str(guest.vm_id), user=user, work=work)
        return {"sid": full_sid(sid), "requested-node": target}

    async def stop(self) -> None:
        """Cut off what is under way."""
        for recovery in list(self._recoveries):
            recovery.cancel()
        await asyncio.gather(*self._recoveries, return_exceptions=True)


def full_sid(sid: str) -> str:
    """`vm:100` of `100` or `vm:100`."""
    kind, _, number = sid.rpartition(":")
    if kind == "ct":
        raise PveError(f"no such resource '{sid}'")
    return f"vm:{number}"


def hosts_of(rule: HaRule) -> list[str]:
    """Host names of a node affinity rule, without priorities."""
    return [part.partition(":")[0] for part in (rule.nodes or "").split(",") if part]


def _fill_resource(resource: HaResource, form: Mapping[str, str]) -> None:
    state = form.get("state", resource.state)
    if "group" in form:
        raise PveError("cannot use group: HA groups have been migrated to rules")
    resource.state = "started" if state == "enabled" else state
    resource.comment = form.get("comment", resource.comment)
    for name in ("max_restart", "max_relocate"):
        if name in form:
            setattr(resource, name, int(form[name]))
    if "failback" in form:
        resource.failback = int(form["failback"])


def _fill_rule(rule: HaRule, form: Mapping[str, str]) -> None:
    rule.comment = form.get("comment", rule.comment)
    rule.nodes = form.get("nodes", rule.nodes)
    rule.affinity = form.get("affinity", rule.affinity)
    if "disable" in form:
        rule.disable = int(form["disable"])
    if "strict" in form:
        rule.strict = int(form["strict"])
    for name in filter(None, form.get("delete", "").split(",")):
        if name in ("comment", "strict", "disable"):
            setattr(rule, name, 0 if name == "disable" else None)
