"""The machines of one cluster: preflight, one plan over both stacks, apply, destroy, orphans.

The order is always: read Proxmox and the state, decide in pure functions, plan, and act only on a plan that was read.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from infraflux.adapters.image_factory import register_schematic
from infraflux.adapters.proxmox.addresses import answering
from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxReader
from infraflux.adapters.proxmox.facts import Guest, Observed
from infraflux.adapters.proxmox.finding import PreflightFinding
from infraflux.adapters.proxmox.hardware import Hardware
from infraflux.adapters.proxmox.observe import observe, observe_guests, observe_hardware
from infraflux.adapters.proxmox.orphans import Orphans, find_orphans, placement
from infraflux.adapters.proxmox.power import MachinePower
from infraflux.adapters.proxmox.preflight import judge_preflight, require_passed
from infraflux.adapters.proxmox.remove import StrayRemover
from infraflux.adapters.terraform.errors import PlanStale
from infraflux.adapters.terraform.events import Event, EventKind, OnEvent
from infraflux.adapters.terraform.plan import Change, vm_address
from infraflux.adapters.terraform.stack import DEFAULT_PLAN_S, Applied, Plan, Stack
from infraflux.adapters.terraform.state import known_machines
from infraflux.adapters.terraform.workspace import GLOBALS, Place, Tool
from infraflux.adapters.tools.locate import locate, provider_mirror
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.core.paths import ProjectPaths
from infraflux.operations.destruction import Destruction, plan_destruction
from infraflux.operations.guard import require_allowed
from infraflux.operations.sources import source_trees
from infraflux.render.talos import schematic_document, schematic_id
from infraflux.render.terraform import render_cluster, render_globals, to_tfvars

STAGE = "machines"
ADOPTING_PLAN_S = 1800.0
BACKEND_NAMES = ("PG", "AWS_", "TF_HTTP_")
"""Variables by which backends get their credentials: for Terraform only, on no command line."""


@dataclass(frozen=True, kw_only=True)
class MachinesPlan:
    """What an apply would do: to what the environment's clusters share, and to this cluster."""

    shared: Plan
    cluster: Plan
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Equal for every plan that does the same."""
        return hashlib.sha256(f"{self.shared.summary.digest}{self.cluster.summary.digest}".encode()).hexdigest()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes, the shared ones first, in the order they are applied."""
        return (*self.shared.summary.changes, *self.cluster.summary.changes)

    @property
    def empty(self) -> bool:
        return self.shared.summary.empty and self.cluster.summary.empty

    def __str__(self) -> str:
        parts = [str(plan.summary) for plan in (self.shared, self.cluster) if not plan.summary.empty]
        return "; ".join(parts) or "no changes"


class Preflight:
    """What was seen and judged before a plan.

    No dataclass: orchestrators look into those, field by field, wherever one is handed on.
    """

    def __init__(self, *, observed: Observed, findings: tuple[PreflightFinding, ...], orphans: Orphans) -> None:
        self.observed = observed
        self.findings = findings
        self.orphans = orphans

    def __str__(self) -> str:
        hosts = sum(host.online for host in self.observed.hosts.values())
        return f"{hosts} hosts online, {len(self.warnings)} warnings"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What does not stop the plan but should be read."""
        stray = [
            f"VM {guest.vm_id} ({guest.name}) on {guest.host} carries our tag and is not declared:"
            " see `infraflux machines orphans`"
            for guest in self.orphans.stray
        ]
        adopted = [
            f"{guest.name} (VM {guest.vm_id}) was made by a run that never recorded it: it is adopted"
            + (" (Terraform waits up to 15 minutes for its guest agent, where it has one)" if guest.running else "")
            for guest in self.orphans.adoptable
        ]
        return (*(finding.message for finding in self.findings if not finding.fatal), *adopted, *stray)


class Machines:
    """The machines of one cluster."""

    def __init__(
        self, *, spec: ClusterSpec, siblings: Sequence[ClusterSpec], access: ProxmoxAccess, shared: Stack, own: Stack
    ) -> None:
        self.spec = spec
        self.shared = shared
        self.own = own
        self._siblings = siblings
        self._access = access

    # Read

    def look(self) -> Preflight:
        """What is there, with every finding; nothing is refused: drift is reported, not stopped."""
        self.own.require_sound_state()
        known = self.known()
        observed = observe(ProxmoxReader(self._access), self.spec)
        return Preflight(
            observed=observed,
            findings=judge_preflight(self.spec, observed, known=known),
            orphans=find_orphans(self.spec, guests=observed.guests, known=known),
        )

    def preflight(self) -> Preflight:
        """Look and judge; raises PreflightFailed with every finding that stops a plan."""
        seen = self.look()
        observed, findings, orphans = seen.observed, seen.findings, seen.orphans
        require_passed(findings, cluster=self.spec.key)
        self._require_made(*orphans.being_made, *orphans.unnamed)
        return Preflight(observed=observed, findings=(*findings, *self._answering(observed)), orphans=orphans)

    def orphans(self) -> Orphans:
        """Machines of ours that the state does not know, and the reverse."""
        guests = observe_guests(ProxmoxReader(self._access))
        return find_orphans(self.spec, guests=guests, known=self.known())

    def hardware(self, guests: Sequence[Guest]) -> dict[str, Hardware]:
        """By node, of the machines of ours that run."""
        declared = {node.vm_id: node.name for node in self.spec.nodes}
        ours = [one for one in guests if one.running and one.vm_id in declared and self.spec.ownership_tag in one.tags]
        found = observe_hardware(ProxmoxReader(self._access), ours)
        return {declared[vm_id]: one for vm_id, one in found.items()}

    def power(self) -> MachinePower:
        """The power button of this cluster's machines."""
        return MachinePower(self._access, tag=self.spec.ownership_tag)

    def known(self) -> dict[int, str]:
        """Name by VM id of every machine that the state knows."""
        return known_machines(self.own.state_text())

    def outputs(self) -> Mapping[str, Any]:
        """What the last apply of the cluster's stack computed; nothing before the first."""
        head = self.own.state()
        return head.outputs if head else {}

    def shared_variables(self) -> dict[str, Any]:
        """Of the stack that all clusters of the environment share."""
        return render_globals(self._siblings)

    def own_variables(self, *, guests: Sequence[Guest], orphans: Orphans) -> dict[str, Any]:
        """Of the cluster's own stack, with the machines where they are and those to adopt."""
        places = placement(self.spec, guests)
        return render_cluster(self.spec, placement=places, adopt=orphans.adopt)

    def plan(
        self,
        *,
        preflight: Preflight | None = None,
        on_event: OnEvent | None = None,
        replaced: frozenset[str] = frozenset(),
    ) -> MachinesPlan:
        """Plan both stacks, side by side: neither needs the other's result. `replaced`: nodes made anew."""
        seen = preflight or self.preflight()
        own = to_tfvars(self.own_variables(guests=seen.observed.guests, orphans=seen.orphans))
        with ThreadPoolExecutor(max_workers=1) as pool:
            shared = pool.submit(self.shared.plan, to_tfvars(self.shared_variables()))
            # While it imports a running machine the provider does not know yet that it need not wait for the guest
            # agent: one that does not answer costs its 15 minutes.
            deadline_s = ADOPTING_PLAN_S if seen.orphans.adoptable else DEFAULT_PLAN_S
            addresses = [vm_address(name) for name in sorted(replaced)]
            cluster = self.own.plan(own, on_event=on_event, deadline_s=deadline_s, replaced=addresses)
            both = MachinesPlan(shared=shared.result(), cluster=cluster)
        texts = (*seen.warnings, *both.cluster.summary.warnings, *both.cluster.warnings)
        return MachinesPlan(shared=both.shared, cluster=cluster, warnings=tuple(dict.fromkeys(texts)))

    def reopen(self, *, shared_run: str, cluster_run: str, digest: str) -> MachinesPlan:
        """A plan of an earlier step; PlanStale where it is not the one of this digest."""
        plan = MachinesPlan(shared=self.shared.reopen(shared_run), cluster=self.own.reopen(cluster_run))
        if plan.digest != digest:
            raise PlanStale(
                "the saved plan is not the one that was shown",
                cluster=self.spec.key,
                stage=STAGE,
                next_step="plan again",
            )
        return plan

    def guard(self, plan: MachinesPlan, *, today: date, named: frozenset[str] = frozenset()) -> None:
        """Raises DestructionRefused with everything the policy forbids; `named` machines may end, not their disks."""
        policy = self.spec.policy.destruction_guard
        require_allowed(plan.cluster.summary, policy=policy, today=today, cluster=self.spec.key, named=named)

    # Act

    @staticmethod
    def log_events(log: Callable[[str], None]) -> OnEvent:
        """What to do with Terraform's events so that each object's begin, end and error is one line of a log."""

        def hear(event: Event) -> None:
            if event.kind in (EventKind.STARTED, EventKind.COMPLETED, EventKind.ERRORED):
                log(event.message)

        return hear

    def apply(self, plan: MachinesPlan, *, on_event: OnEvent | None = None) -> Outcome:
        """Apply exactly this plan, the shared part first."""
        applied: list[Applied] = []
        if not plan.shared.summary.empty:
            self._register_schematics()
        for stack, part in ((self.shared, plan.shared), (self.own, plan.cluster)):
            if not part.summary.empty:
                applied.append(stack.apply(part, on_event=on_event))
        if not applied:
            return Noop(f"the machines of {self.spec.key} are as declared")
        return Done(f"{self.spec.key}: {plan}, applied in {sum(one.elapsed_s for one in applied):.0f} s")

    def destroy(self, *, on_event: OnEvent | None = None) -> tuple[Outcome, ...]:
        """Remove every machine of this cluster, also unrecorded ones, and what no other cluster shares any more."""
        self._require_destroyable()
        outcomes = [self._destroy_stack(self.own, to_tfvars(render_cluster(self.spec)), on_event=on_event)]
        left = self.orphans()
        self._require_made(*left.unnamed)
        outcomes += [self.remove(guest) for guest in (*left.adoptable, *left.being_made, *left.stray)]
        if self._last_of_environment():
            shared = to_tfvars(self.shared_variables())
            outcomes.append(self._destroy_stack(self.shared, shared, on_event=on_event))
        return tuple(outcomes)

    def plan_destruction(self) -> Destruction:
        """What `destroy` would take away now; Permanent where the policy forbids it."""
        self._require_destroyable()
        self.own.require_sound_state()
        head = self.shared.state() if self._last_of_environment() else None
        return plan_destruction(
            self.spec,
            guests=observe_guests(ProxmoxReader(self._access)),
            known=self.known(),
            shared=head.resources if head else 0,
        )

    def remove(self, guest: Guest) -> Outcome:
        """Remove one orphan, after its tag was read once more."""
        return StrayRemover(self._access, tag=self.spec.ownership_tag).remove(guest)

    # Inside

    def _require_made(self, *guests: Guest) -> None:
        """Raises Retryable while Proxmox makes one of these."""
        if guests:
            names = ", ".join(f"VM {guest.vm_id} ({guest.name})" for guest in guests)
            raise Retryable(
                f"Proxmox is still creating {names}, begun by an interrupted run or by somebody else",
                cluster=self.spec.key,
                stage=STAGE,
                next_step="run it again when its task has ended",
            )

    def _register_schematics(self) -> None:
        """The factory serves only schematics it was given; one that the user names by id was given by hand."""
        wanted = {(one.image.factory_url, one.image.schematic) for one in self._siblings if not one.image.schematic.id}
        for factory_url, schematic in sorted(wanted, key=str):
            register_schematic(
                factory_url=factory_url,
                document=schematic_document(schematic),
                expected_id=schematic_id(schematic),
            )

    def _destroy_stack(self, stack: Stack, variables: str, *, on_event: OnEvent | None) -> Outcome:
        state = stack.state()
        if state is None or state.resources == 0:
            return Noop(f"{stack.label}: nothing is left of it")
        plan = stack.plan(variables, destroy=True)
        stack.apply(plan, on_event=on_event)
        return Done(f"{stack.label}: {plan.summary}")

    def _require_destroyable(self) -> None:
        if not (protection := self.spec.policy.protection):
            return
        raise Permanent(
            f"the policy of {self.spec.environment} forbids destroying its clusters",
            cluster=self.spec.key,
            stage=STAGE,
            error_class=ErrorClass.USER,
            next_step=protection,
        )

    def _last_of_environment(self) -> bool:
        """Whether no other cluster of the environment has machines in its state."""
        here = self.own.place
        names = {spec.name for spec in self._siblings} | {path.name for path in here.state.parent.glob("*")}
        for name in sorted(names - {here.name, GLOBALS}):
            state = here.state.parent / name
            place = replace(here, state=state, name=name)
            head = self.own.beside(place).state()
            if head is not None and head.resources:
                return False
        return True

    def _answering(self, observed: Observed) -> tuple[PreflightFinding, ...]:
        present = {guest.vm_id for guest in observed.guests}
        new = [str(node.address) for node in self.spec.nodes if node.vm_id not in present]
        return tuple(
            PreflightFinding(
                error_class=ErrorClass.CONFLICT,
                message=f"{address} answers already although its machine does not exist",
                fatal=False,
            )
            for address in answering(new)
        )


def open_machines(
    spec: ClusterSpec,
    *,
    root: Path,
    fleet: Fleet,
    tree: Path | None = None,
    environ: Mapping[str, str] | None = None,
    program: str = "terraform",
) -> Machines:
    """Resolves the API token, finds Terraform; nothing is asked of Proxmox yet.

    `tree` is where modules are read from, the project itself where it is not given. `program` is a name of
    `tools/pins.yaml`: `terraform` is whichever is there, `tofu` is OpenTofu alone.
    """
    if spec.name == GLOBALS:
        raise Permanent(
            f"a cluster cannot be called {spec.name}: the environment's shared state has that name",
            cluster=spec.key,
            error_class=ErrorClass.CONFIG,
        )
    access = proxmox_access(spec, root=root)
    tool = Tool(binary=locate(program), mirror=provider_mirror())
    env = _environment(access, os.environ if environ is None else environ)
    trees = source_trees(spec, root=root, tree=tree)

    def stack(name: str) -> Stack:
        place = place_of(spec, name, root=root, trees=trees, tree=tree)
        label = f"{spec.environment}/{name}"
        return Stack(place=place, tool=tool, label=label, env=env, secret_values=[access.token_secret])

    return Machines(
        spec=spec,
        siblings=fleet.of(spec.environment),
        access=access,
        shared=stack(GLOBALS),
        own=stack(spec.name),
    )


def place_of(spec: ClusterSpec, name: str, *, root: Path, trees: Path, tree: Path | None = None) -> Place:
    """The directories of the cluster's own stack (`name` is the cluster's) or of its environment's (`globals`)."""
    return Place(
        source=trees / "terraform",
        state=ProjectPaths(root).terraform_state(spec.environment, name),
        environment=spec.environment,
        name=name,
        environments=(tree or root) / "terraform" / "environments",
    )


def proxmox_access(spec: ClusterSpec, *, root: Path) -> ProxmoxAccess:
    """How the environment's Proxmox API is reached; resolves the token."""
    return ProxmoxAccess(
        endpoint=spec.proxmox.endpoint,
        token_id=spec.proxmox.token.id,
        token_secret=resolve(spec.proxmox.token.secret, root=root).reveal(),
        ca_file=root / spec.proxmox.ca_file if spec.proxmox.ca_file else None,
        insecure=spec.proxmox.insecure,
    )


def _environment(access: ProxmoxAccess, environ: Mapping[str, str]) -> dict[str, str]:
    env = {name: value for name, value in environ.items() if name.startswith(BACKEND_NAMES)}
    env["PROXMOX_VE_API_TOKEN"] = access.provider_token
    if access.ca_file is not None:
        # Read besides the system's certificate directory, not in its place.
        env["SSL_CERT_FILE"] = str(access.ca_file)
    return env
