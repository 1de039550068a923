"""The Kubernetes layer: nodes and their versions, against what is declared."""

from collections.abc import Iterable, Iterator

from infraflux.adapters.talos.health import KubernetesNode
from infraflux.config.models import ClusterSpec, Node
from infraflux.drift.findings import DriftClass, Finding, Layer, Owner


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
                seen="absent",
                note="the kubelet registers only when it starts: restart it, or deploy where the machine is new",
            )
        else:
            yield from _one_node(spec, node, seen)
    for name in sorted(by_name):
        yield _finding(
            name, "registration", wanted="absent, no node is declared so", seen="registered", owner=Owner.NOBODY
        )


def _one_node(spec: ClusterSpec, node: Node, seen: KubernetesNode) -> Iterator[Finding]:
    if not seen.ready:
        yield _finding(node.name, "Ready", wanted="True", seen="not True")
    if seen.kubelet_version != spec.versions.kubernetes:
        yield _finding(node.name, "kubelet version", wanted=spec.versions.kubernetes, seen=seen.kubelet_version)
    if str(node.address) not in seen.addresses:
        yield _finding(node.name, "address", wanted=str(node.address), seen=", ".join(seen.addresses) or "none")
    if seen.cordoned:
        yield _finding(
            node.name,
            "schedulable",
            wanted="yes",
            seen="cordoned",
            owner=Owner.NOBODY,
            note="somebody cordoned it; `kubectl uncordon` when the work there is done",
        )


def _finding(
    name: str, field: str, *, wanted: str, seen: str, owner: Owner = Owner.TALOSCTL, note: str = ""
) -> Finding:
    """No deploy puts a Node object right: each of these needs a person to look why."""
    return Finding(
        layer=Layer.KUBERNETES,
        object=f"Node {name}",
        field=field,
        wanted=wanted,
        seen=seen,
        drift_class=DriftClass.DANGEROUS,
        owner=owner,
        note=note,
    )
