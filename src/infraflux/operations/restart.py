"""One machine off and on again, and the proof that its node came back with the hardware that was wanted.

Called with the node drained, by a rollout. Repeated after an interruption it goes on where the machine is: one that is
off is only started, one that runs with everything is only proven.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import WaitingValue, is_known, shown, waiting_values
from infraflux.adapters.proxmox.power import MachinePower
from infraflux.adapters.talos.facts import NodeState
from infraflux.config.models import Node
from infraflux.config.models.policy import DrainTimeout, Rollout
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import InfrafluxError, Retryable
from infraflux.core.outcomes import Done, Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.plan.node_decisions import moved

STAGE = "restart nodes"
_LEAST_MEMORY = 0.75
"""Of a machine's memory, what Linux at least leaves for the kubelet to count (`MemTotal`, proc(5)): page tables, the
kernel itself and, on machines of 2 GiB, the bounce buffers are well below a quarter."""

Planned = Mapping[str, Collection[tuple[str, str]]]
"""By node: option and value that a restart may bring into force."""


@dataclass(frozen=True, kw_only=True)
class NodeRestart:
    """How machines of one cluster start anew."""

    cluster: TalosCluster
    open_power: Callable[[], MachinePower]
    """A connection of its own for each thread."""
    rules: Rollout
    read_nodes: Callable[[], Sequence[KubernetesNode]]
    """Node objects; raises Retryable where the API does not answer."""

    def waiting(self, node: Node) -> tuple[WaitingValue, ...]:
        """What waits for the next start of its machine."""
        return _waiting(self.open_power(), node)

    def require_planned(self, nodes: Collection[Node], planned: Planned) -> None:
        """Raises WorldMoved where a machine waits for a restart, or for a value, that the plan does not hold."""
        for node in nodes:
            allowed = planned.get(node.name)
            more = [one for one in self.waiting(node) if allowed is None or not _is_in(one, allowed)]
            if more:
                raise moved(
                    f"the machine of {node.name} waits for a restart that is not in the plan:"
                    f" {', '.join(shown(one) for one in more)}",
                    cluster=self.cluster.spec.key,
                    stage=STAGE,
                )

    def due(self, nodes: Collection[Node], *, always: Collection[str] = ()) -> frozenset[str]:
        """Nodes whose machines have to start anew, `always` or because something waits.

        One that is off, as a killed run left it, is started here: it takes up what waited, and etcd is not whole
        before.
        """
        found, power = set(), self.open_power()
        for node in nodes:
            guest = power.machine(node.vm_id)
            if not guest.running:
                self.start(power, guest)
            elif node.name in always or _waiting(power, node):
                found.add(node.name)
        return frozenset(found)

    def cycle(self, node: Node) -> Outcome:
        """Off and on again, and the proof. Raises Retryable where it does not power off, or does not come back."""
        power, before = self.open_power(), self._boot_id(node)
        self.shut_down(power, power.machine(node.vm_id))
        self.start(power, power.machine(node.vm_id))
        self.prove(node, before)
        return Done(f"{node.name} started anew, with {node.cores} cores and {node.memory_mib} MiB")

    def shut_down(self, power: MachinePower, guest: Guest) -> None:
        """Off, within the time that the policy gives; then the run ends or the machine is switched off, as it says."""
        force, timeout_s = self.rules.on_shutdown_timeout is DrainTimeout.FORCE, self.rules.shutdown_timeout_s
        self.cluster.log(f"{guest.name}: shutting down VM {guest.vm_id} on {guest.host}, for {timeout_s} s at most")
        power.shut_down(guest, timeout_s=timeout_s, force=force)

    def start(self, power: MachinePower, guest: Guest) -> None:
        """On, with everything that waited for it."""
        self.cluster.log(f"{guest.name}: starting VM {guest.vm_id} on {guest.host}")
        power.start(guest)

    # Proof

    def prove(self, node: Node, boot_before: str = "") -> None:
        """Wait for Talos, then for a Ready Node of a new boot that counts the wanted hardware. Raises Retryable."""
        spec = self.cluster.spec
        self._wait(lambda: self._talos(node), node, deadline_s=spec.talos.boot_timeout_s, what="to run Talos")
        self._wait(
            lambda: self._kubelet(node, boot_before),
            node,
            deadline_s=spec.talos.health_timeout_s,
            what="to be Ready with its hardware",
        )
        if left := self.waiting(node):
            raise Retryable(
                f"{node.name} has started and Proxmox still keeps {', '.join(shown(one) for one in left)}",
                cluster=spec.key,
                stage=STAGE,
                next_step="run again; somebody may have changed the machine meanwhile",
            )

    def _talos(self, node: Node) -> bool | NotYet:
        seen = self.cluster.look(node)
        return True if seen.state is NodeState.RUNNING else NotYet(seen.detail or f"it is {seen.state}")

    def _kubelet(self, node: Node, boot_before: str) -> bool | NotYet:
        try:
            live = next((one for one in self.read_nodes() if one.name == node.name), None)
        except Retryable as error:
            return NotYet(error.message)
        problem = node_problem(node, live, boot_before)
        return NotYet(problem) if problem else True

    def _boot_id(self, node: Node) -> str:
        """As its kubelet last reported it; empty where nobody can be asked."""
        try:
            return next((one.boot_id for one in self.read_nodes() if one.name == node.name), "")
        except InfrafluxError:
            return ""

    def _wait(self, probe: Callable[[], bool | NotYet], node: Node, *, deadline_s: int, what: str) -> None:
        cluster = self.cluster
        found = wait_until(
            probe, clock=cluster.clock, deadline_s=deadline_s, interval_s=cluster.poll_s, what=f"{node.name} {what}"
        )
        if isinstance(found, NotYet):
            raise Retryable(
                f"{node.name} was waited for {what}, for {deadline_s} s; last seen: {found}",
                cluster=cluster.spec.key,
                stage=STAGE,
                next_step=f"look at the console of VM {node.vm_id} in Proxmox, then run again: it goes on there",
            )


def node_problem(node: Node, live: KubernetesNode | None, boot_before: str) -> str:
    """Why a Node object is no proof that its machine came back as it is wanted (pure); empty where it is one."""
    if live is None:
        return "it is not registered"
    if boot_before and live.boot_id == boot_before:
        return "its kubelet has not reported since the start"
    if not live.ready:
        return "it is NotReady"
    if live.cores != node.cores:
        return f"its kubelet counts {live.cores} cores, not {node.cores}"
    if not node.memory_mib * _LEAST_MEMORY <= live.memory_mib <= node.memory_mib:
        return f"its kubelet counts {live.memory_mib} MiB of memory, of {node.memory_mib} MiB"
    return ""


def _waiting(power: MachinePower, node: Node) -> tuple[WaitingValue, ...]:
    return waiting_values(power.hardware(power.machine(node.vm_id)))


def _is_in(one: WaitingValue, allowed: Collection[tuple[str, str]]) -> bool:
    """An option whose words follow from others of the plan is not held against it; the node restarts anyway."""
    return not is_known(one.option) or (one.option, one.after) in allowed
