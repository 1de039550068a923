"""A cluster as it is wanted and as it was seen, for plans: at first everything is as declared."""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from fakes.specs import make_spec

from infraflux.adapters.kubernetes.facts import ManifestChange, RemovedApi
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import Hardware
from infraflux.adapters.talos.facts import BootstrapMarker, EtcdMember, EtcdSeen, NodeSeen, NodeState, SystemImage
from infraflux.adapters.terraform.plan import VM_TYPE, Change, PlanSummary
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.core.outcomes import Noop, Outcome
from infraflux.drift.system_image import wanted_image
from infraflux.operations.plan.actions import ClusterPlan, GitChange
from infraflux.operations.plan.decide import plan_cluster
from infraflux.operations.plan.observed import Observed, PlatformSeen, Wanted

HANDOFF = ("AppProject argocd/platform", "Application argocd/root")


def spec_of_five(**changes: Any) -> ClusterSpec:
    """Three control planes, two workers."""
    return make_spec(control_planes=3, workers=2, **changes)


def config_of(node: Node, version: str = "v1.13.9") -> dict[str, Any]:
    """A small machine config."""
    image = f"factory.talos.dev/nocloud-installer/x:{version}"
    return {"machine": {"type": node.role.machine_type, "install": {"image": image}}, "cluster": {"id": "abc"}}


def machine(name: str, action: Terraform, **more: Any) -> Change:
    """What Terraform does to one machine."""
    address = f'module.cluster.module.node["{name}"].{VM_TYPE}.this'
    return Change(address=address, type=VM_TYPE, action=action, node=name, control_plane="-cp-" in name, **more)


def summary(*changes: Change, outputs: tuple[str, ...] = ()) -> PlanSummary:
    """A plan of Terraform whose digest follows from what it does."""
    return PlanSummary(
        changes=changes, outputs=outputs, digest=hashlib.sha256(repr((changes, outputs)).encode()).hexdigest()
    )


@dataclass
class Site:
    """Everything a plan is made of. Tests change what they are about."""

    spec: ClusterSpec
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Wanted machine configs; empty where there are no secrets to make them with."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=lambda: {"cilium": "c1", "argocd": "a1"})
    seen: dict[str, NodeSeen] = field(default_factory=dict)
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Machine configs that the nodes have."""
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Node objects."""
    images: dict[str, SystemImage] = field(default_factory=dict)
    """Of nodes that run another one than is wanted; the version is that of the look."""
    reboots: dict[str, bool] = field(default_factory=dict)
    hardware: dict[str, Hardware] = field(default_factory=dict)
    """Of machines that run; empty where nobody looked."""
    guests: dict[str, Guest] = field(default_factory=dict)
    maintenance: frozenset[str] = frozenset()
    members: list[str] | None = None
    """None: no control plane lists any."""
    marker: BootstrapMarker | None = None
    has_secrets: bool = True
    shared: PlanSummary = field(default_factory=summary)
    machines: PlanSummary = field(default_factory=summary)
    installs: dict[str, Outcome] = field(default_factory=dict)
    handoff: dict[str, Outcome] = field(default_factory=dict)
    from_git: tuple[GitChange, ...] = ()
    manifests: tuple[ManifestChange, ...] = ()
    manifests_unknown: str = ""
    removed_apis: tuple[RemovedApi, ...] = ()
    unasked: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    no_platform: str | None = None
    """Why the Kubernetes side could not be looked at; empty where there is none to look at."""

    def look(self, name: str, **changes: Any) -> None:
        """Let one node be seen otherwise."""
        self.seen[name] = replace(self.seen[name], **changes)

    def want(self, names: list[str], path: str, value: Any) -> None:
        """Set one field of the wanted machine config of some nodes."""
        for name in names:
            *parents, last = path.split(".")
            at = self.configs[name]
            for key in parents:
                at = at.setdefault(key, {})
            at[last] = value
            self.fingerprints[name] = hashlib.sha256(json.dumps(self.configs[name]).encode()).hexdigest()

    def names(self, *roles: Role) -> list[str]:
        return [node.name for node in self.spec.nodes if node.role in (roles or tuple(Role))]

    def observed(self) -> Observed:
        nodes = {
            name: replace(one, config=json.dumps(self.live[name]) if one.state is NodeState.RUNNING else "")
            for name, one in self.seen.items()
        }
        platform = PlatformSeen(
            installs=self.installs,
            handoff=self.handoff,
            nodes=self.nodes,
            from_git=self.from_git,
            manifests=self.manifests,
            manifests_unknown=self.manifests_unknown,
            removed_apis=self.removed_apis,
            unasked=self.unasked,
        )
        return Observed(
            shared=self.shared,
            machines=self.machines,
            warnings=self.warnings,
            has_secrets=self.has_secrets,
            marker=self.marker,
            nodes=nodes,
            images={name: self._image(one) for name, one in nodes.items() if one.state is NodeState.RUNNING},
            reboots=self.reboots,
            hardware=self.hardware,
            guests=self.guests,
            maintenance=self.maintenance,
            etcd=etcd_of(self.members),
            platform=platform if self.no_platform is None else None,
            no_platform=self.no_platform or "",
        )

    def _image(self, seen: NodeSeen) -> SystemImage:
        return replace(self.images.get(seen.name, wanted_image(self.spec)), version=seen.version)

    def plan(self) -> ClusterPlan:
        wanted = Wanted(
            configs={name: json.dumps(config) for name, config in self.configs.items()},
            fingerprints=self.fingerprints,
            components=self.components,
            handoff=HANDOFF,
        )
        return plan_cluster(self.spec, wanted, self.observed())


def etcd_of(members: list[str] | None) -> EtcdSeen | None:
    if members is None:
        return None
    return EtcdSeen(tuple(EtcdMember(f"id-{name}", name, (), False) for name in members), members[0])


def node_object(node: Node) -> dict[str, Any]:
    """A Ready Node with the labels and taints that are declared."""
    ready = {"type": "Ready", "status": "True"}
    metadata: dict[str, Any] = {"name": node.name, "labels": dict(node.labels), "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {}, "status": {"conditions": [ready]}}


def standing(spec: ClusterSpec | None = None, *, version: str = "v1.13.9") -> Site:
    """A cluster where nothing is to be done."""
    spec = spec or spec_of_five()
    configs = {node.name: config_of(node, version) for node in spec.nodes}
    seen = {
        node.name: NodeSeen(
            name=node.name,
            address=str(node.address),
            state=NodeState.RUNNING,
            uuid=node.uuid,
            macs=(node.mac,),
            version=version,
        )
        for node in spec.nodes
    }
    planes = [node.name for node in spec.control_planes]
    return Site(
        spec=spec,
        configs=configs,
        fingerprints=_fingerprints(spec),
        seen=seen,
        live=deepcopy(configs),
        nodes={node.name: node_object(node) for node in spec.nodes},
        members=planes,
        marker=BootstrapMarker(planes[0], "abc", confirmed=True),
        installs={name: Noop("Argo CD owns it") for name in ("cilium", "argocd")},
        handoff={name: Noop("as declared") for name in HANDOFF},
    )


def blank(spec: ClusterSpec | None = None) -> Site:
    """A cluster that nobody has made yet."""
    spec = spec or spec_of_five()
    made = [machine(node.name, Terraform.CREATE) for node in spec.nodes]
    return Site(
        spec=spec,
        fingerprints=_fingerprints(spec),
        has_secrets=False,
        machines=summary(*made, outputs=("platform",)),
        no_platform="",
    )


def _fingerprints(spec: ClusterSpec) -> dict[str, str]:
    return {node.name: f"fingerprint of {node.name}" for node in spec.nodes}


def actions_of(plan: ClusterPlan) -> list[tuple[str, str, str]]:
    """Kind, object and disruption of every action, in order."""
    return [(one.kind, one.object, one.disruption.value) for one in plan.actions]
