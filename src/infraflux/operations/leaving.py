"""Taking nodes out of a running cluster before their machines end: drained, out of etcd, reset, forgotten.

Repeated after an interruption it goes on where the node is: a cordoned node is drained, one that was reset already is
only taken off the lists.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from infraflux.adapters.kubectl import Kubectl
from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import OUT_OF_SERVICE, ROLLING, KubernetesNode, Ref
from infraflux.adapters.talos.facts import EtcdMember, NodeState
from infraflux.adapters.talos.seen import look_at_etcd
from infraflux.config.models import Node
from infraflux.config.models.policy import DrainTimeout, Rollout
from infraflux.core.errors import Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.etcd_health import require_majority_without
from infraflux.operations.health import kubernetes_node
from infraflux.operations.plan.leaving import Leaver
from infraflux.operations.teardown import reset_node


@dataclass(frozen=True, kw_only=True)
class NodeExit:
    """How nodes of one cluster leave it."""

    cluster: TalosCluster
    kubectl: Kubectl
    rules: Rollout
    connect: Callable[[], Kubernetes]

    def leave(self, node: Leaver) -> Outcome:
        """One node, in order. Raises DrainHeld naming the pods, Permanent where etcd would lose its majority."""
        done = []
        if self._registered(node.name):
            self.drain(node.name)
            done.append("drained")
        if node.control_plane and (member := self._member(node.name)):
            require_majority_without(self.cluster, node.name)
            done.append(self._leave_etcd(node, member))
        elif self._runs(node):
            reset_node(self.cluster, node, graceful=True)
            done.append("reset")
        if self.forget(node.name):
            done.append("forgotten by Kubernetes")
        return Done(f"{node.name}: {', '.join(done)}") if done else Noop(f"{node.name} has left already")

    def drain(self, name: str, *, mark: str = ROLLING) -> None:
        """Evict its pods within the time that the policy gives; then stop or delete them, as it says.

        The Node is marked before, so that whoever comes after a killed run knows who cordoned it; one that somebody
        else cordoned is not, and stays cordoned.
        """
        with closing(self.connect()) as kubernetes:
            node = _node(kubernetes, name)
            if node is not None and (not node.cordoned or mark != ROLLING):
                kubernetes.annotate(_ref(name), {OUT_OF_SERVICE: mark})
        force = self.rules.on_drain_timeout is DrainTimeout.FORCE
        self.cluster.log(f"{name}: draining, for {self.rules.drain_timeout_s} s at most")
        self.kubectl.drain(name, timeout_s=self.rules.drain_timeout_s, force_after=force)

    def take_back(self, name: str, *, mark: str | None = ROLLING) -> Outcome:
        """Let pods come again, where this `mark` says who cordoned it; None: whoever did."""
        with closing(self.connect()) as kubernetes:
            node = _node(kubernetes, name)
            if node is None or (node.cordoned and mark is not None and node.out_of_service != mark):
                return Noop(f"{name} stays cordoned: somebody else cordoned it")
            if not node.cordoned and not node.out_of_service:
                return Noop(f"{name} is in service")
            self.kubectl.uncordon(name)
            kubernetes.merge(_ref(name), {"metadata": {"annotations": {OUT_OF_SERVICE: None}}})
        return Done(f"{name} is in service again")

    def forget(self, name: str) -> bool:
        """Delete the Node object; False where there is none."""
        with closing(self.connect()) as kubernetes:
            return isinstance(kubernetes.delete(_ref(name)), Done)

    def remove_member(self, member_id: str, name: str) -> Outcome:
        """Take a member off etcd's list whose machine is gone. Raises Permanent where the rest has no majority."""
        if (member := self._member(name)) is None or member.id != member_id:
            return Noop(f"etcd does not list {name} with id {member_id} any more")
        require_majority_without(self.cluster, name)
        self._remove(member)
        return Done(f"{name} is no etcd member any more")

    def _leave_etcd(self, node: Leaver, member: EtcdMember) -> str:
        """A reset leaves etcd by itself; a member that does not answer is taken off the list by the others."""
        if self._runs(node):
            reset_node(self.cluster, node, graceful=True)
            if self._member(node.name) is None:
                return "left etcd and reset"
        self._remove(member)
        return "taken out of etcd"

    def _remove(self, member: EtcdMember) -> None:
        others = self._others(member.hostname)
        found = look_at_etcd(others, admin=self.cluster.admin)
        through = next((one for one in others if found is not None and one.name == found.asked), None)
        if through is None:
            raise Retryable(
                f"no other control plane answers, so {member.hostname} stays on etcd's list",
                cluster=self.cluster.spec.key,
                stage="leave nodes",
                next_step="run again when one of them is back",
            )
        self.cluster.admin.call("etcd", "remove-member", member.id, node=str(through.address))

    def _member(self, name: str) -> EtcdMember | None:
        found = look_at_etcd(self._others(name), admin=self.cluster.admin)
        return next((one for one in found.members if one.hostname == name), None) if found else None

    def _others(self, name: str) -> list[Node]:
        """Whom to ask about a member: the others, who count it, whatever it says of itself."""
        return [one for one in self.cluster.spec.control_planes if one.name != name]

    def _runs(self, node: Leaver) -> bool:
        return bool(node.address) and self.cluster.look(node).state is NodeState.RUNNING

    def _registered(self, name: str) -> bool:
        with closing(self.connect()) as kubernetes:
            return kubernetes.read(_ref(name)) is not None


def _node(kubernetes: Kubernetes, name: str) -> KubernetesNode | None:
    found = kubernetes.read(_ref(name))
    return kubernetes_node(found) if found is not None else None


def _ref(name: str) -> Ref:
    return Ref(api_version="v1", kind="Node", name=name)
