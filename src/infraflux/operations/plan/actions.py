"""The actions a plan can hold: each says what it changes, whom it disturbs, whether it can be undone, and why it is
needed."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from infraflux.adapters.terraform.plan import PlanSummary
from infraflux.config.models.hooks import Hook
from infraflux.config.models.policy import Disruption

A = TypeVar("A", bound="Action")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One value before and after, as text that may be shown; secrets are masked."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before} → {self.after}"


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing that a run does."""

    kind: ClassVar[str]
    """The word in tables and in JSON."""

    object: str
    """What is changed: a node, a component, an object."""
    change: str
    """What happens to it, in a few words."""
    why: str
    """Why it is needed."""
    node: str = ""
    """The node it belongs to; empty for what belongs to the cluster."""
    disruption: Disruption = Disruption.NONE
    reversible: bool = True
    """Whether the former configuration, deployed again, brings the former state back."""
    fields: tuple[Field, ...] = ()
    fingerprint: str = ""
    """Tells apart what the words do not: a digest of the wanted content."""

    @property
    def ends(self) -> bool:
        """Whether something that exists is gone afterwards."""
        return self.disruption >= Disruption.NODE_LEAVES

    def canonical(self) -> list[Any]:
        """What a digest is made of: everything that will be done, and nothing of when or why."""
        fields = [[one.path, one.before, one.after] for one in self.fields]
        return [self.kind, self.object, self.node, self.change, self.disruption.value, fields, self.fingerprint]


@dataclass(frozen=True, kw_only=True)
class ChangeShared(Action):
    """An object that the environment's clusters share; Terraform applies it."""

    kind = "shared"


@dataclass(frozen=True, kw_only=True)
class ChangeMachine(Action):
    """A machine of the cluster, or what belongs to it; Terraform applies it."""

    kind = "machine"
    ends_machine: bool = False


@dataclass(frozen=True, kw_only=True)
class LeaveCluster(Action):
    """A node leaves before its machine ends: drained, out of etcd, reset, no Node object."""

    kind = "leave"
    address: str = ""
    control_plane: bool = False


@dataclass(frozen=True, kw_only=True)
class RemoveMember(Action):
    """An etcd member whose machine is gone is taken out of the member list."""

    kind = "etcd member"
    member: str
    """Its id, as etcd prints it."""


@dataclass(frozen=True, kw_only=True)
class ForgetNode(Action):
    """A Node object whose machine is gone is deleted, so that its pods run elsewhere."""

    kind = "node object"


@dataclass(frozen=True, kw_only=True)
class ComputeValues(Action):
    """What Terraform computes for the platform: Cilium's values, Argo CD's objects."""

    kind = "values"


@dataclass(frozen=True, kw_only=True)
class MakeSecrets(Action):
    """The Talos secrets bundle, once in a cluster's life."""

    kind = "secrets"


@dataclass(frozen=True, kw_only=True)
class UpgradeTalos(Action):
    """Another Talos image on one node."""

    kind = "talos"
    control_plane: bool = False
    other_version: bool = False
    """Not only another schematic."""


@dataclass(frozen=True, kw_only=True)
class ConfigureNode(Action):
    """A machine config for one node."""

    kind = "config"
    first: bool = False
    """The node has none yet."""
    reboots: bool = False
    """Talos says that it cannot apply this without a reboot."""
    kubernetes: str = ""
    """The Kubernetes version that a first config has where the cluster runs another one than is wanted."""


@dataclass(frozen=True, kw_only=True)
class SnapshotEtcd(Action):
    """A copy of etcd's data, kept for the case that an upgrade goes wrong."""

    kind = "snapshot"


@dataclass(frozen=True, kw_only=True)
class UpgradeKubernetes(Action):
    """Another Kubernetes on all control planes, and what Talos brings with it: `talosctl upgrade-k8s`."""

    kind = "kubernetes"


@dataclass(frozen=True, kw_only=True)
class UpgradeKubelet(Action):
    """Another kubelet on one node, which is drained meanwhile."""

    kind = "kubelet"


@dataclass(frozen=True, kw_only=True)
class SyncManifests(Action):
    """What Talos brings with it is brought forward: `talosctl upgrade-k8s` to the version that runs."""

    kind = "manifests"


@dataclass(frozen=True, kw_only=True)
class BootstrapEtcd(Action):
    """etcd, once in a cluster's life."""

    kind = "etcd"


@dataclass(frozen=True, kw_only=True)
class LabelNode(Action):
    """Labels and taints that a node may not write on itself."""

    kind = "labels"


@dataclass(frozen=True, kw_only=True)
class RestartNode(Action):
    """A machine starts anew, its node drained before and taken back after: what Proxmox kept pending takes effect."""

    kind = "restart node"
    always: bool = False
    """Whether or not anything waits for it."""


@dataclass(frozen=True, kw_only=True)
class ReturnNode(Action):
    """A node that is out of service is taken back."""

    kind = "return node"
    whoever: bool = False
    """Whoever cordoned it; else only what an interrupted run left."""


@dataclass(frozen=True, kw_only=True)
class DrainNode(Action):
    """A node is taken out of service until somebody takes it back."""

    kind = "drain node"


@dataclass(frozen=True, kw_only=True)
class StopNode(Action):
    """A node is taken out of service, and its machine shut down, until the maintenance of its host ends."""

    kind = "stop node"
    control_plane: bool = False


@dataclass(frozen=True, kw_only=True)
class StartNode(Action):
    """A machine that was shut down for maintenance is started, and its node taken back."""

    kind = "start node"


@dataclass(frozen=True, kw_only=True)
class ResetNode(Action):
    """Talos is wiped on a machine that stays, and the node joins anew."""

    kind = "reset node"
    control_plane: bool = False


@dataclass(frozen=True, kw_only=True)
class InstallComponent(Action):
    """The first install of Cilium or Argo CD."""

    kind = "install"


@dataclass(frozen=True, kw_only=True)
class ApplyObject(Action):
    """An object of the handoff: a project, a namespace, a credential, the root Application."""

    kind = "handoff"


@dataclass(frozen=True, kw_only=True)
class RunHook(Action):
    """A command that the configuration names."""

    kind = "hook"
    hook: Hook


@dataclass(frozen=True, kw_only=True)
class GitChange:
    """What Argo CD will change by itself once it sees the commit. No action of the run, so no part of its digest."""

    component: str
    change: str


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """Everything that a run of one cluster will do, in order. One digest binds an approval to it."""

    cluster: str
    actions: tuple[Action, ...] = ()
    later: tuple[str, ...] = ()
    """What cannot be decided yet, and why: a run that meets more than this stops there and wants a new plan."""
    from_git: tuple[GitChange, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Why nothing happens where nothing does."""
    warnings: tuple[str, ...] = ()
    shared: PlanSummary
    machines: PlanSummary
    """Terraform's two plans, which the guard judges."""

    def of(self, kind: type[A]) -> tuple[A, ...]:
        """The actions of one kind, in order."""
        return tuple(one for one in self.actions if isinstance(one, kind))

    @property
    def empty(self) -> bool:
        return not self.actions

    @property
    def disruption(self) -> Disruption:
        """The worst of all actions."""
        return max((one.disruption for one in self.actions), default=Disruption.NONE)

    @property
    def ends(self) -> int:
        """How many things are gone afterwards."""
        return sum(one.ends for one in self.actions)

    @property
    def digest(self) -> str:
        """Equal for every plan that does the same."""
        return hashlib.sha256(f"{self.shared_digest}{self.own_digest}".encode()).hexdigest()

    @property
    def shared_digest(self) -> str:
        """Of what the environment's clusters share."""
        return _digest(self.of(ChangeShared), self.shared.digest)

    @property
    def own_digest(self) -> str:
        """Of everything else."""
        return _digest((one for one in self.actions if not isinstance(one, ChangeShared)), self.machines.digest)

    def __str__(self) -> str:
        if self.empty:
            return "no changes"
        kinds = [one.kind for one in self.actions]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        count = f"{len(kinds)} change{'' if len(kinds) == 1 else 's'}"
        return f"{count} ({counts}), disruption: {self.disruption.words}"


def _digest(actions: Iterable[Action], terraform: str) -> str:
    document = [terraform, [one.canonical() for one in actions]]
    return hashlib.sha256(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def as_json(plan: ClusterPlan) -> dict[str, Any]:
    """The plan for programs (pure)."""
    return {
        "cluster": plan.cluster,
        "digest": plan.digest,
        "disruption": plan.disruption.value,
        "actions": [_action_json(one) for one in plan.actions],
        "later": list(plan.later),
        "from_git": [vars(one) for one in plan.from_git],
        "unchanged": list(plan.unchanged),
        "warnings": list(plan.warnings),
    }


def _action_json(action: Action) -> dict[str, Any]:
    return {
        "kind": action.kind,
        "object": action.object,
        "node": action.node,
        "change": action.change,
        "why": action.why,
        "disruption": action.disruption.value,
        "reversible": action.reversible,
        "fields": [vars(one) for one in action.fields],
    }
