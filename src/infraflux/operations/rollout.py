"""Changes to nodes that run: control planes one at a time with etcd whole between, workers as many as policy allows.

The first failure stops the rest: a config that kills one control plane never reaches the next one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.config.models import Node, Role
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import InfrafluxError, Permanent, Retryable
from infraflux.core.outcomes import Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.etcd_health import require_whole_etcd
from infraflux.operations.leaving import NodeExit

STAGE = "update nodes"


class RolloutStopped(Permanent):
    """A node did not come through; the message names it and those that were not touched."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How changes reach the nodes of one cluster."""

    cluster: TalosCluster
    leave: NodeExit
    """Drains and takes back into service."""
    read_nodes: Callable[[], Sequence[KubernetesNode]]
    """Node objects; raises Retryable where the API does not answer."""
    stage: str = STAGE
    """Where errors say that they happened."""

    def roll(
        self, nodes: Sequence[Node], change: Callable[[Node], Outcome], *, restarts: Callable[[Node], bool]
    ) -> Mapping[str, Outcome]:
        """Change one node after the other, drained where it `restarts`. Raises RolloutStopped at the first failure."""
        outcomes: dict[str, Outcome] = {}
        left = [node.name for node in nodes]
        for batch in _batches(nodes, workers=self.leave.rules.max_unavailable):
            left = [name for name in left if name not in {node.name for node in batch}]
            with ThreadPoolExecutor(max_workers=len(batch)) as pool:
                runs = {node.name: pool.submit(self._one, node, change, restarts(node)) for node in batch}
            failed = {name: error for name, run in runs.items() if (error := run.exception()) is not None}
            outcomes |= {name: run.result() for name, run in runs.items() if name not in failed}
            for name, error in failed.items():
                cordoned = any(node.name == name and restarts(node) for node in batch)
                raise self._stopped(name, error, left=left, cordoned=cordoned) from error
        return outcomes

    def _one(self, node: Node, change: Callable[[Node], Outcome], restarts: bool) -> Outcome:
        plane = node.role is Role.CONTROL_PLANE
        if plane:
            require_whole_etcd(self.cluster, stage=self.stage)
        if restarts:
            self.leave.drain(node.name)
        bare = self._waits_for_cni(node)
        outcome = change(node)
        if plane:
            require_whole_etcd(self.cluster, stage=self.stage)
        self._wait_ready(node, bare=bare)
        if restarts:
            self.cluster.log(str(self.leave.take_back(node.name)))
        return outcome

    def _waits_for_cni(self, node: Node) -> bool:
        """Before Cilium is installed no node is Ready: a deploy that died in between must get past its nodes."""
        try:
            return any(one.waits_for_cni for one in self.read_nodes() if one.name == node.name)
        except Retryable:
            return False

    def _wait_ready(self, node: Node, *, bare: bool) -> None:
        """Ready, or waiting for a CNI where it did so before (`bare`)."""

        def probe() -> bool | NotYet:
            try:
                seen = next((one for one in self.read_nodes() if one.name == node.name), None)
            except Retryable as error:
                return NotYet(error.message)
            if seen is None:
                return NotYet("it is not registered")
            return True if seen.ready or (bare and seen.waits_for_cni) else NotYet("it is NotReady")

        deadline_s = self.cluster.spec.talos.health_timeout_s
        found = wait_until(
            probe,
            clock=self.cluster.clock,
            deadline_s=deadline_s,
            interval_s=self.cluster.poll_s,
            what=f"{node.name} to be Ready",
        )
        if isinstance(found, NotYet):
            raise Retryable(
                f"{node.name} is not Ready within {deadline_s} s: {found.reason}",
                cluster=self.cluster.spec.key,
                stage=self.stage,
                next_step=f"look at `kubectl describe node {node.name}`",
            )

    def _stopped(self, name: str, error: BaseException, *, left: Sequence[str], cordoned: bool) -> InfrafluxError:
        if not isinstance(error, InfrafluxError):
            raise error
        out = (
            f"; {name} is out of service: the next run takes it back, or `kubectl uncordon {name}`" if cordoned else ""
        )
        rest = f"; not touched: {', '.join(left)}" if left else ""
        stopped = RolloutStopped(
            f"the rollout stopped at {name}: {error.message}{out}{rest}",
            cluster=self.cluster.spec.key,
            stage=self.stage,
            error_class=error.error_class,
            next_step=error.next_step or f"look at {name}, then run again: it goes on there",
        )
        stopped.retryable = error.retryable
        return stopped


def _batches(nodes: Sequence[Node], *, workers: int) -> Iterator[list[Node]]:
    """Control planes alone, then workers in groups."""
    yield from ([node] for node in nodes if node.role is Role.CONTROL_PLANE)
    others = [node for node in nodes if node.role is Role.WORKER]
    for start in range(0, len(others), workers):
        yield others[start : start + workers]
