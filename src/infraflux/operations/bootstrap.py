"""Bringing a cluster's machines to a running Talos, step by step; every step looks first and can be run again."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from infraflux.adapters.talos.documents import parse_documents
from infraflux.adapters.talos.facts import BootstrapMarker, EtcdMember, EtcdSeen, NodeSeen, NodeState
from infraflux.adapters.talos.seen import HasAddress, look, look_for_etcd
from infraflux.adapters.talos.talosctl import TALOS_ERRORS, Code, Talosctl, TalosTransient, error_code
from infraflux.adapters.talos.workspace import TalosWorkspace
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.clock import Clock, NotYet, SystemClock, wait_until
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.files import write_private
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.core.workdir import private_workdir
from infraflux.operations.plan.kubernetes import at_version, with_running_versions
from infraflux.operations.plan.node_decisions import (
    Bootstrap,
    PlannedConfig,
    PushConfig,
    UpdateConfig,
    Wait,
    decide_bootstrap,
    decide_config,
    moved,
    require_planned,
)

LOOKS_AT_ONCE = 8
"""Each look is a few short calls to one node; more at once only makes this machine wait for itself."""
ETCD_DEADLINE_S = 300.0
"""Talos pulls etcd's image before it starts; slow lines have been seen to take minutes."""
BOOTSTRAP_ANSWER_S = 20.0
"""How long an accepted bootstrap may take to show a member before it is asked for again."""


PlannedConfigs = Mapping[str, PlannedConfig]
"""By node."""


class NodesFailed(Permanent):
    """Some nodes did not come up; the message names each with what was last seen of it."""


@dataclass(frozen=True, kw_only=True)
class TalosCluster:
    """The Talos side of one cluster."""

    workspace: TalosWorkspace
    clock: Clock = field(default_factory=SystemClock)
    log: Callable[[str], None] = lambda _: None
    poll_s: float = 0.5
    """Between two looks at a node; a look costs the node one or two small calls."""

    @property
    def spec(self) -> ClusterSpec:
        return self.workspace.spec

    @property
    def admin(self) -> Talosctl:
        return self.workspace.admin

    def look(self, node: HasAddress, *, wanted: str = "") -> NodeSeen:
        """`wanted`: the machine config that it should have; one that has it is not asked for its UUID and MACs."""
        return look(node, admin=self.admin, bare=self.workspace.talosctl, wanted=wanted)

    def configure(self, node: Node, planned: PlannedConfigs | None = None, *, versions: bool = False) -> Outcome:
        """Wait for the machine, prove that it is ours, give it its configuration, wait until it runs.

        A node that runs keeps its Kubernetes version, but where `versions` are to change as well.
        Raises WorldMoved where that would be more than `planned` holds (by node; None: no plan binds it),
        Retryable naming what was last seen when the node's deadline passes, Permanent for a wrong machine or a refused
        configuration.
        """
        bound_s = self.spec.talos.boot_timeout_s
        outcome: Outcome | NotYet = wait_until(
            _Configuring(self, node, planned, versions=versions).look,
            clock=self.clock,
            deadline_s=bound_s,
            interval_s=self.poll_s,
            what=f"{node.name} to run",
        )
        if isinstance(outcome, NotYet):
            raise Retryable(
                f"{node.name} ({node.address}) did not come up within {bound_s} s; last seen: {outcome}",
                cluster=self.spec.key,
                stage="boot",
                next_step=f"look at the console of VM {node.vm_id} on {node.host}, then run again",
            )
        return outcome

    def apply(self, node: Node, decision: PushConfig | UpdateConfig, *, wanted: str) -> Done | NotYet:
        """Send the configuration; NotYet where the node was busy or the reply was lost: the next look tells."""
        first = isinstance(decision, PushConfig)
        talosctl = self.workspace.talosctl if first else self.admin
        self.log(f"{node.name}: {'first configuration' if first else f'updating {decision}'}")
        with private_workdir(self.workspace.directory) as work:
            path = write_private(work / "config.yaml", wanted)
            try:
                talosctl.call("apply-config", "--file", path, node=str(node.address), insecure=first)
            except TalosTransient as error:
                self.log(f"{node.name}: {error.message}")
                return NotYet(error.message)
            except TALOS_ERRORS as error:
                raise self.refused(node, error) from error
        return Done(f"{node.name} configured" if first else f"{node.name} updated: {decision}")

    def refused(self, node: Node, error: InfrafluxError) -> Permanent:
        """The error for a node that takes a machine config for wrong."""
        return Permanent(
            f"{node.name} refused its machine config: {error.message}",
            cluster=self.spec.key,
            stage="machine-config",
            error_class=ErrorClass.CONFIG,
            next_step="correct talos.patches; the node keeps the configuration it had",
        )

    def configure_first_control_plane(self, planned: PlannedConfigs | None = None) -> Outcome:
        """The node etcd is bootstrapped on; where etcd runs already, any control plane order is fine."""
        return self.configure(self.spec.control_planes[0], planned)

    def bootstrap_etcd(self, *, planned: bool = True) -> Outcome:
        """Bootstrap etcd exactly once in the cluster's life; a lost reply and a second call both end in the truth.

        Raises WorldMoved where it would have to be bootstrapped and that is not `planned`.
        """
        nodes = self.spec.control_planes
        etcd = self._look_for_known_etcd()
        seen = {} if etcd else {node.name: self.look(node) for node in nodes}
        marker = self.workspace.read_marker()
        decision = decide_bootstrap(nodes, seen, etcd, marker=marker, cluster=self.spec.key)
        if isinstance(decision, Noop):
            self._confirm(marker, etcd)
            return decision
        if not planned:
            raise moved("etcd is gone, and the plan does not bootstrap it", cluster=self.spec.key, stage="bootstrap")
        self._check_cluster_id(seen[decision.node])
        marker = BootstrapMarker(node=decision.node, cluster_id=self.workspace.bundle.cluster_id)
        self.workspace.write_marker(marker)
        self._call_bootstrap(decision)
        self.workspace.write_marker(replace(marker, confirmed=True))
        return Done(f"bootstrapped etcd on {decision.node}")

    def _look_for_known_etcd(self) -> EtcdSeen | None:
        """Where etcd was bootstrapped before, give it time to answer: a node that reboots is no lost cluster."""
        marker = self.workspace.read_marker()
        known = marker is not None and marker.confirmed
        found = self._wait_for_etcd(deadline_s=ETCD_DEADLINE_S if known else 0.0)
        if isinstance(found, EtcdSeen):
            return found
        if known:
            self.log(f"no etcd within {ETCD_DEADLINE_S:.0f} s; last seen: {found}")
        return None

    def _wait_for_etcd(self, *, deadline_s: float) -> EtcdSeen | NotYet:
        return wait_until(
            lambda: look_for_etcd(self.spec.control_planes, admin=self.admin),
            clock=self.clock,
            deadline_s=deadline_s,
            interval_s=self.poll_s,
            what="etcd",
        )

    def _confirm(self, marker: BootstrapMarker | None, etcd: EtcdSeen | None) -> None:
        if etcd is None or (marker is not None and marker.confirmed):
            return
        node = marker.node if marker else etcd.asked
        confirmed = BootstrapMarker(node=node, cluster_id=self.workspace.bundle.cluster_id, confirmed=True)
        self.workspace.write_marker(confirmed)

    def _check_cluster_id(self, seen: NodeSeen) -> None:
        live = parse_documents(seen.config).get("v1alpha1", {}).get("cluster", {}).get("id")
        if live != self.workspace.bundle.cluster_id:
            raise Permanent(
                f"{seen.name} belongs to the cluster with id {live}, ours is {self.workspace.bundle.cluster_id}",
                cluster=self.spec.key,
                stage="bootstrap",
                error_class=ErrorClass.CONFLICT,
                next_step="restore the bundle this machine was made with, or reset the machine",
            )

    def _call_bootstrap(self, decision: Bootstrap) -> None:
        """Call until etcd lists its member; repeats only what Talos itself makes safe to repeat."""
        node = next(node for node in self.spec.control_planes if node.name == decision.node)
        until = self.clock.monotonic() + ETCD_DEADLINE_S

        def attempt() -> EtcdSeen | NotYet:
            said = self._ask_for_bootstrap(node)
            left = until - self.clock.monotonic()
            found = self._wait_for_etcd(deadline_s=min(BOOTSTRAP_ANSWER_S, left))
            return NotYet(f"bootstrap said: {said}; {found}") if isinstance(found, NotYet) else found

        found = wait_until(
            attempt, clock=self.clock, deadline_s=ETCD_DEADLINE_S, interval_s=self.poll_s, what="another bootstrap call"
        )
        if isinstance(found, NotYet):
            raise Retryable(
                f"etcd did not come up on {node.name} within {ETCD_DEADLINE_S:.0f} s; last seen: {found}",
                cluster=self.spec.key,
                stage="bootstrap",
                next_step="run again; the bootstrap is repeated on this node only",
            )

    def _ask_for_bootstrap(self, node: Node) -> str:
        """What the node said. Raises what Talos does not make safe to repeat."""
        try:
            self.admin.call("bootstrap", node=str(node.address))
        except TALOS_ERRORS as error:
            if not isinstance(error, TalosTransient) and error_code(error) is not Code.ALREADY_EXISTS:
                raise
            return error.message
        return "accepted"

    def join_nodes(self, planned: PlannedConfigs | None = None) -> dict[str, Outcome]:
        """Control planes one at a time, then the workers side by side; one failure does not stop the rest.

        Of `planned` nodes only, where a plan binds it: the others stay as they are. Raises NodesFailed at the end,
        naming every node that did not come up.
        """
        outcomes: dict[str, Outcome] = {}
        failures: dict[str, InfrafluxError] = {}
        planes, workers = (
            [node for node in nodes if planned is None or node.name in planned]
            for nodes in (self.spec.control_planes, self.spec.workers)
        )
        for node in planes:
            self._collect(node, lambda one: self._join_control_plane(one, planned), outcomes, failures)
        # Side by side within a bound: each needs a talosctl process here and an image pull there.
        with ThreadPoolExecutor(max_workers=self.spec.talos.worker_parallelism) as pool:
            configure = partial(self.configure, planned=planned)
            list(pool.map(lambda node: self._collect(node, configure, outcomes, failures), workers))
        if failures:
            raise self._nodes_failed(failures)
        return outcomes

    @staticmethod
    def _collect(
        node: Node,
        step: Callable[[Node], Outcome],
        outcomes: dict[str, Outcome],
        failures: dict[str, InfrafluxError],
    ) -> None:
        try:
            outcomes[node.name] = step(node)
        except InfrafluxError as error:
            failures[node.name] = error

    def _nodes_failed(self, failures: dict[str, InfrafluxError]) -> NodesFailed:
        lines = "; ".join(f"{name}: {error.message}" for name, error in sorted(failures.items()))
        first = next(iter(failures.values()))
        error = NodesFailed(
            f"{len(failures)} of {len(self.spec.nodes)} nodes did not come up: {lines}",
            cluster=self.spec.key,
            stage="join",
            error_class=first.error_class,
            next_step=first.next_step,
        )
        error.retryable = all(one.retryable for one in failures.values())
        return error

    def _join_control_plane(self, node: Node, planned: PlannedConfigs | None) -> Outcome:
        """Configure one control plane and wait until etcd counts it as a full member: quorum is never risked twice."""
        outcome = self.configure(node, planned)
        joined = wait_until(
            lambda: self._find_member(node),
            clock=self.clock,
            deadline_s=ETCD_DEADLINE_S,
            interval_s=self.poll_s,
            what=f"{node.name} to be an etcd member",
        )
        if isinstance(joined, NotYet):
            raise Retryable(
                f"{node.name} did not become a full etcd member within {ETCD_DEADLINE_S:.0f} s; last seen: {joined}",
                cluster=self.spec.key,
                stage="join",
                next_step=f"look at `talosctl -n {node.address} service etcd`, then run again",
            )
        return outcome

    def _find_member(self, node: Node) -> EtcdMember | NotYet:
        # The node itself is asked last: what the others count is what quorum rests on.
        order = sorted(self.spec.control_planes, key=lambda one: one.name == node.name)
        etcd = look_for_etcd(order, admin=self.admin)
        if isinstance(etcd, NotYet):
            return etcd
        found = next((one for one in etcd.members if one.hostname == node.name), None)
        if found is None:
            return NotYet(f"{etcd.asked} lists {', '.join(one.hostname for one in etcd.members)}")
        return NotYet(f"{node.name} is still a learner") if found.learner else found

    def running(self) -> list[NodeSeen]:
        """The nodes that run with our configuration right now."""
        seen = [self.look(node) for node in self.spec.nodes]
        return [one for one in seen if one.state is NodeState.RUNNING]


@dataclass
class _Configuring:
    """One node on its way to its machine config: one look, and one step where a step is needed."""

    cluster: TalosCluster
    node: Node
    planned: PlannedConfigs | None
    versions: bool = False
    done: Done | None = None
    """What this run did to it already."""

    def look(self) -> Outcome | NotYet:
        cluster, node = self.cluster, self.node
        configs = cluster.workspace.configs
        seen = cluster.look(node, wanted=configs.by_node[node.name])
        wanted = self._wanted(configs.by_node[node.name], seen)
        decision = decide_config(node, seen, wanted=wanted, cluster=cluster.spec.key, hidden=configs.secrets)
        if isinstance(decision, Noop):
            return self.done or decision
        if isinstance(decision, Wait):
            return NotYet(decision.last_seen)
        if self.planned is not None:
            allowed, pushed = self.planned.get(node.name), self.done is not None
            require_planned(decision, allowed, pushed=pushed, cluster=cluster.spec.key)
        sent = cluster.apply(node, decision, wanted=wanted)
        if isinstance(sent, NotYet):
            return sent
        self.done = sent
        return NotYet(f"{sent}, and it has not taken effect")

    def _wanted(self, config: str, seen: NodeSeen) -> str:
        """The machine config that it is to have now: a Kubernetes version changes by its own step only."""
        if self.versions:
            return config
        if seen.state is NodeState.RUNNING:
            return with_running_versions(config, seen.config)
        allowed = (self.planned or {}).get(self.node.name)
        return at_version(config, allowed.kubernetes) if allowed else config


def fetch_kubeconfig(admin: Talosctl, *, node: Node, workdir: Path) -> str:
    """The admin kubeconfig as the control plane hands it out, for its own certificate's lifetime."""
    with private_workdir(workdir) as work:
        target = work / "kubeconfig"
        admin.call("kubeconfig", target, "--merge=false", "--force", node=str(node.address))
        return target.read_text()
