"""What the Kubernetes API would refuse, or set back to what it was."""

from collections import Counter
from collections.abc import Iterator, Mapping

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.models import NodePool, Role
from infraflux.config.problems import Path

OWN_LABELS = frozenset({"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"})
"""The kubelet sets them and sets them back: Kubernetes, pkg/kubelet/kubelet_node_status.go (updateDefaultLabels)."""
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@needs("node_pools")
def taints_are_given_once(subject: Subject) -> Iterator[Finding]:
    """Kubernetes, pkg/apis/core/validation (ValidateTaintsInNodeAddUpdate): key and effect are unique on a node."""
    for pool in subject.spec.node_pools:
        for identity, count in Counter(taint.identity for taint in pool.taints).items():
            if count > 1:
                wrong = f"{identity} is given {count} times, and no node with that would ever register"
                yield Finding(("node_pools", pool.name, "taints"), wrong, "keep one of them")


@needs("node_pools")
def labels_are_not_those_of_the_kubelet(subject: Subject) -> Iterator[Finding]:
    for pool in subject.spec.node_pools:
        for path, labels in _labels(pool):
            for key in sorted(OWN_LABELS & labels.keys()):
                yield Finding((*path, key), "the kubelet sets this label itself, and sets it back", "remove it")
            if pool.role is Role.WORKER and CONTROL_PLANE in labels:
                wrong = "this label makes Talos, Cilium and others take a worker for a control plane"
                yield Finding((*path, CONTROL_PLANE), wrong, "remove it, or give the pool that role")


def _labels(pool: NodePool) -> Iterator[tuple[Path, Mapping[str, str]]]:
    yield ("node_pools", pool.name, "labels"), pool.labels
    for node in pool.nodes:
        yield ("node_pools", pool.name, "nodes", node.name, "labels"), node.labels


@needs("platform")
def hosts_of_the_gateway_are_given_once(subject: Subject) -> Iterator[Finding]:
    """https://gateway-api.sigs.k8s.io/reference/spec/#listener: names are unique, and each host gets one."""
    for host, count in Counter(subject.spec.platform.gateway.tls_hosts).items():
        if count > 1:
            path = ("platform", "gateway", "tls_hosts")
            yield Finding(path, f"{host!r} is given {count} times, which the Gateway refuses", "keep one of them")
