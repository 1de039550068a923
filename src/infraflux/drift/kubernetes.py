"""The Kubernetes layer: nodes and their versions, against what is declared."""

from collections.abc import Iterable, Iterator

from infraflux.adapters.kubernetes.facts import BY_HAND, MAINTENANCE, ROLLING, KubernetesNode, ManifestChange
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.drift.findings import DriftClass, Finding, Layer, Owner

ABSENT = "absent"
UPGRADE = "a deploy plans `upgrade Kubernetes` for it, where the machine config is behind as well"
CONTROL_PLANE_TAINT = "node-role.kubernetes.io/control-plane:NoSchedule"
SYSTEM_TAINTS = ("node.kubernetes.io/", "node.cilium.io/", "node.cloudprovider.kubernetes.io/", CONTROL_PLANE_TAINT)
"""What controllers put on a node and take off again, as its condition is; and Talos on a control plane."""


def find_node_drift(spec: ClusterSpec, nodes: Iterable[KubernetesNode]) -> Iterator[Finding]:
    """Node objects against the declared nodes."""
    by_name = {node.name: node for node in nodes}
    for node in spec.nodes:
        seen = by_name.pop(node.name, None)
        if seen is None:
            yield _finding(
                node.name,
                "registration",
                wanted="registered",
                seen=ABSENT,
                note="the kubelet registers only when it starts: restart it, or deploy where the machine is new",
            )
        else:
            yield from _one_node(spec, node, seen)
    for name in sorted(by_name):
        yield _finding(
            name, "registration", wanted="absent, no node is declared so", seen="registered", owner=Owner.NOBODY
        )


def find_manifest_drift(changes: Iterable[ManifestChange]) -> Iterator[Finding]:
    """What Talos brings with it, where the cluster has something else."""
    for one in changes:
        yield Finding(
            layer=Layer.KUBERNETES,
            object=one.object,
            field=one.field or "object",
            wanted=one.after,
            seen=one.before,
            drift_class=DriftClass.REPAIRABLE,
            owner=Owner.TALOSCTL,
            note="a deploy plans `bootstrap manifests` for it, which `talosctl upgrade-k8s` brings forward",
        )


def _one_node(spec: ClusterSpec, node: Node, seen: KubernetesNode) -> Iterator[Finding]:
    if not seen.ready:
        yield _finding(node.name, "Ready", wanted="True", seen="not True")
    if seen.kubelet_version != spec.versions.kubernetes:
        yield _finding(
            node.name, "kubelet version", wanted=spec.versions.kubernetes, seen=seen.kubelet_version, note=UPGRADE
        )
    if str(node.address) not in seen.addresses:
        yield _finding(node.name, "address", wanted=str(node.address), seen=", ".join(seen.addresses) or "none")
    if seen.cordoned:
        yield _cordoned(node, seen)
    yield from _label_drift(node, seen)
    yield from _taint_drift(
        node, seen, dedicated=node.role is Role.CONTROL_PLANE and not spec.control_planes_take_workloads
    )


def _cordoned(node: Node, seen: KubernetesNode) -> Finding:
    """Only what a run left behind is taken back by the next one."""
    if seen.out_of_service == ROLLING:
        note = "an interrupted run left it out of service: `return node`, which a deploy does"
        return _difference(node.name, "schedulable", wanted="yes", seen="cordoned", note=note)
    note = "somebody cordoned it; `kubectl uncordon` when the work there is done"
    if seen.out_of_service == BY_HAND:
        note = f"taken out of service by hand; `infraflux node uncordon` with {node.name} takes it back"
    elif seen.out_of_service == MAINTENANCE:
        note = "off for the maintenance of its host; `infraflux host maintenance` ends it"
    return _finding(node.name, "schedulable", wanted="yes", seen="cordoned", owner=Owner.NOBODY, note=note)


def _label_drift(node: Node, seen: KubernetesNode) -> Iterator[Finding]:
    """Labels that are declared. Those of others say nothing about drift: many things label nodes."""
    for key, value in sorted(node.labels.items()):
        if seen.labels.get(key) != value:
            yield _difference(node.name, f"label {key}", wanted=value, seen=seen.labels.get(key, ABSENT))


def _taint_drift(node: Node, seen: KubernetesNode, *, dedicated: bool) -> Iterator[Finding]:
    """Taints that are declared, and those that nobody declared; `dedicated` control planes take no workloads."""
    wanted = {one.identity: one.value for one in node.taints}
    for taint, value in sorted(wanted.items()):
        if seen.taints.get(taint) != value:
            yield _difference(node.name, f"taint {taint}", wanted=value, seen=seen.taints.get(taint, ABSENT))
    if dedicated and CONTROL_PLANE_TAINT not in seen.taints:
        note = "workloads can run on this control plane; Talos puts it back when it next looks at the node"
        yield _finding(node.name, f"taint {CONTROL_PLANE_TAINT}", wanted="", seen=ABSENT, note=note)
    for taint in sorted(set(seen.taints) - set(wanted)):
        if taint in seen.owned_taints:
            yield _difference(node.name, f"taint {taint}", wanted=ABSENT, seen=seen.taints[taint])
        elif not taint.startswith(SYSTEM_TAINTS):
            yield _finding(
                node.name,
                f"taint {taint}",
                wanted=ABSENT,
                seen=seen.taints[taint],
                owner=Owner.NOBODY,
                note="somebody added it, and what runs here may be kept away or evicted; `kubectl taint` takes it off",
            )


def _difference(name: str, field: str, *, wanted: str, seen: str, note: str = "") -> Finding:
    """A deploy writes declared labels and taints, takes away what it wrote, and takes nodes back into service."""
    repairable = DriftClass.REPAIRABLE
    return _finding(name, field, wanted=wanted, seen=seen, owner=Owner.INFRAFLUX, drift_class=repairable, note=note)


def _finding(
    name: str,
    field: str,
    *,
    wanted: str,
    seen: str,
    owner: Owner = Owner.TALOSCTL,
    drift_class: DriftClass = DriftClass.DANGEROUS,
    note: str = "",
) -> Finding:
    """No deploy repairs it: a person has to look why."""
    return Finding(
        layer=Layer.KUBERNETES,
        object=f"Node {name}",
        field=field,
        wanted=wanted,
        seen=seen,
        drift_class=drift_class,
        owner=owner,
        note=note,
    )
