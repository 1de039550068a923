"""The machines layer of a drift look: what many clusters share is read once, Terraform plans only where it can matter.

A look reads what a refresh of Terraform would read, for all clusters of an endpoint together, and compares it with what
was there when a full plan of the same stack was last empty (`infraflux.drift.quick`). Where anything differs, or the
last full plan is too old, the stack is planned in full.
"""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.orphans import Orphans, find_orphans
from infraflux.adapters.proxmox.snapshot import Snapshot
from infraflux.adapters.terraform.plan import EMPTY_PLAN, PlanSummary
from infraflux.adapters.terraform.stack import DEFAULT_PLAN_S, Stack
from infraflux.adapters.terraform.state import known_machines
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.core.files import write_private
from infraflux.core.outcomes import Done, Noop
from infraflux.drift.findings import Finding
from infraflux.drift.machines import find_machine_drift
from infraflux.drift.quick import Baseline, Evidence, evidence_of, why_full
from infraflux.operations.machines import ADOPTING_PLAN_S, Machines, open_machines, proxmox_access
from infraflux.render.terraform import to_tfvars

BASELINE = "clean-plan.json"
"""Beside the state of each stack."""
T = TypeVar("T")


class Sweep:
    """What the looks of one run share. Safe to use from several threads.

    `full`: every stack is planned, whatever is known of it.
    """

    def __init__(self, *, root: Path, fleet: Fleet, full: bool = False, now: datetime | None = None) -> None:
        self.root, self.fleet, self.full = root, fleet, full
        self.now = now or datetime.now(UTC)
        self._made: dict[tuple[str, ...], Future[Any]] = {}
        self._lock = threading.Lock()
        # Terraform is bound by the processor: more plans at once take as long and hold more memory.
        self.planning = threading.BoundedSemaphore(os.cpu_count() or 1)

    def snapshot(self, spec: ClusterSpec) -> Snapshot:
        """The one look at the endpoint of this cluster."""
        access = proxmox_access(spec, root=self.root)
        return self.once(("endpoint", access.endpoint, access.token_id), lambda: Snapshot(access))

    def fresh(self, spec: ClusterSpec) -> Snapshot:
        """A look of its own: the shared one may be minutes old."""
        return Snapshot(proxmox_access(spec, root=self.root))

    def once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """The result of `make`, made by whoever comes first; its error is everybody's."""
        with self._lock:
            mine = key not in self._made
            made: Future[T] = self._made.setdefault(key, Future())
        if mine:
            try:
                made.set_result(make())
            except BaseException as error:
                made.set_exception(error)
                raise
        return made.result()


@dataclass(frozen=True, kw_only=True)
class Looked:
    """The answer for one stack."""

    summary: PlanSummary
    how: Noop | Done
    """Why no plan had to be made, or why one was."""


@dataclass(frozen=True, kw_only=True)
class MachinesLook:
    """The machines layer of one cluster."""

    findings: tuple[Finding, ...]
    shared: Looked
    own: Looked

    @property
    def evidence(self) -> tuple[str, ...]:
        """What the answer rests on, for a person."""
        return tuple(f"{name}: {one.how}" for name, one in (("shared stack", self.shared), ("machines", self.own)))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one stack's plan would be made of, and what Proxmox answers now."""

    variables: str
    objects: Mapping[str, Any]
    guests: tuple[Guest, ...] = ()
    orphans: Orphans = field(default_factory=Orphans)


See = Callable[[Snapshot, str | None], Scene]
"""Of what Proxmox answers and the state document."""


def look_at_machines(spec: ClusterSpec, *, sweep: Sweep) -> MachinesLook:
    """What differs, the shared stack included. Raises Retryable or Permanent where anything could not be read."""
    machines = open_machines(spec, root=sweep.root, fleet=sweep.fleet)
    shared, _ = sweep.once(
        ("shared", spec.environment),
        lambda: look_at_stack(machines.shared, lambda world, _: see_shared(machines, world), sweep=sweep, spec=spec),
    )
    own, scene = look_at_stack(
        machines.own, lambda world, state: see_own(machines, world, known_machines(state)), sweep=sweep, spec=spec
    )
    found = find_machine_drift(
        spec,
        plans=(shared.summary, own.summary),
        guests=scene.guests,
        orphans=scene.orphans,
        answers=scene.objects,
    )
    return MachinesLook(findings=tuple(found), shared=shared, own=own)


def see_shared(machines: Machines, world: Snapshot) -> Scene:
    """What the clusters of an environment share: its pools, and the images on every host."""
    variables = machines.shared_variables()
    places = [
        (host, image["storage"], f"{image['storage']}:import/{file}")
        for host in variables["hosts"]
        for file, image in sorted(variables["images"].items())
    ]
    pools = {machines.spec.pool_name, *variables["pools"]}
    return Scene(variables=to_tfvars(variables), objects={**world.pools(pools), **world.files(places)})


def see_own(machines: Machines, world: Snapshot, known: Mapping[int, str]) -> Scene:
    """The machines of one cluster: declared ones, those its state knows, and those that carry its tag."""
    spec, guests = machines.spec, world.guests()
    tagged = {guest.vm_id for guest in guests if spec.ownership_tag in guest.tags}
    vm_ids = {node.vm_id for node in spec.nodes} | set(known) | tagged
    objects = world.machines(vm_ids)
    if spec.proxmox.ha:
        objects |= world.ha(vm_ids, rule_prefix=f"infraflux-{spec.environment}-{spec.name}-")
    orphans = find_orphans(spec, guests=guests, known=known)
    variables = machines.own_variables(guests=guests, orphans=orphans)
    return Scene(variables=to_tfvars(variables), objects=objects, guests=guests, orphans=orphans)


def look_at_stack(stack: Stack, see: See, *, sweep: Sweep, spec: ClusterSpec) -> tuple[Looked, Scene]:
    """Spare the plan where its answer is known, else make it; an empty one is remembered with what it was made of."""
    state = stack.require_sound_state()
    scene = see(sweep.snapshot(spec), state)
    baseline = read_baseline(stack)
    max_age = timedelta(days=spec.policy.drift.full_plan_days)
    reason = "it was asked for" if sweep.full else ""
    reason = reason or why_full(
        baseline, _evidence(stack, scene, state), now=sweep.now, max_age=max_age, stack=stack.label
    )
    if not reason and baseline is not None:
        spared = Noop(f"nothing has changed since the full plan of {baseline.at:%Y-%m-%d %H:%M} was empty")
        return Looked(summary=EMPTY_PLAN, how=spared), scene
    return _plan(stack, see, sweep=sweep, spec=spec, reason=reason)


def _plan(stack: Stack, see: See, *, sweep: Sweep, spec: ClusterSpec, reason: str) -> tuple[Looked, Scene]:
    with sweep.planning:
        state = stack.require_sound_state()
        scene = see(sweep.fresh(spec), state)
        before = _evidence(stack, scene, state)
        deadline_s = ADOPTING_PLAN_S if scene.orphans.adoptable else DEFAULT_PLAN_S
        summary = stack.plan(scene.variables, deadline_s=deadline_s).summary
    # What changed while Terraform was reading belongs to no plan.
    if summary.empty and _evidence_now(stack, see, sweep.fresh(spec)) == before:
        write_private(baseline_file(stack), Baseline(at=sweep.now, evidence=before).model_dump_json())
    return Looked(summary=summary, how=Done(f"planned in full: {reason}")), scene


def _evidence_now(stack: Stack, see: See, world: Snapshot) -> Evidence:
    state = stack.state_text()
    return _evidence(stack, see(world, state), state)


def _evidence(stack: Stack, scene: Scene, state: str | None) -> Evidence:
    return evidence_of(inputs=stack.inputs(scene.variables), state=state, objects=scene.objects)


def baseline_file(stack: Stack) -> Path:
    """Where the last empty plan of a stack is remembered."""
    return stack.place.state / BASELINE


def read_baseline(stack: Stack) -> Baseline | None:
    """None where there is none, or none that can be read: then the stack is planned in full."""
    with suppress(OSError, ValidationError):
        return Baseline.model_validate_json(baseline_file(stack).read_bytes())
    return None
