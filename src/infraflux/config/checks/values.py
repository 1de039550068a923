"""Helm values of a cluster that take away what InfraFlux stands on, or that override a key of the configuration."""

from collections.abc import Iterator
from typing import Any

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.foundations import KUBEPRISM_PORT
from infraflux.config.checks.patch_documents import Gone, is_false, patch_documents, value_at
from infraflux.config.models import ClusterSpec
from infraflux.config.models.network import LoadBalancerMode
from infraflux.config.problems import Path

HERE = ("localhost", "127.0.0.1")


def _of_cilium(spec: ClusterSpec) -> dict[str, Any]:
    component = spec.platform.component("cilium")
    return component.values if component is not None else {}


def _at(dotted: str) -> Path:
    return ("platform", "components", "cilium", "values", *dotted.split("."))


# Values of Cilium: https://github.com/cilium/cilium/blob/v1.19.3/install/kubernetes/cilium/values.yaml; what InfraFlux
# sets: platform/infrastructure/cilium/base/values.yaml, terraform/modules/cilium-config. Values of a cluster win.
@needs("platform", "network", "cluster_id", "name")
def cilium_values_follow_the_configuration(subject: Subject) -> Iterator[Finding]:
    spec = subject.spec
    for dotted, wanted, key in (
        ("cluster.id", spec.cluster_id, "cluster_id"),
        ("cluster.name", spec.name, "the name of the cluster's file"),
    ):
        seen = value_at(_of_cilium(spec), dotted)
        if not isinstance(seen, Gone) and seen != wanted:
            yield Finding(_at(dotted), f"{seen!r} would override {key}, which is {wanted!r}", "remove it")
    mode = value_at(_of_cilium(spec), "ipam.mode")
    if not isinstance(mode, Gone) and mode != "kubernetes":
        wrong = f"with mode {mode} Cilium takes no address from network.pod_cidr"
        yield Finding(_at("ipam.mode"), wrong, "kubernetes is expected: remove it")


@needs("platform", "network")
def cilium_values_leave_services_working(subject: Subject) -> Iterator[Finding]:
    spec, values = subject.spec, _of_cilium(subject.spec)
    if is_false(value_at(values, "kubeProxyReplacement")):
        wrong = "neither Cilium nor kube-proxy, which Talos leaves out, would serve Services"
        yield Finding(_at("kubeProxyReplacement"), wrong, "true is expected: remove it")
    switches = {LoadBalancerMode.L2: "l2announcements.enabled", LoadBalancerMode.BGP: "bgpControlPlane.enabled"}
    mode = spec.network.load_balancer.mode
    dotted = switches[mode]
    if is_false(value_at(values, dotted)):
        wrong = f"addresses of load balancers are announced by it: network.load_balancer.mode is {mode}"
        yield Finding(_at(dotted), wrong, "remove it, or choose the other mode")
    if spec.platform.gateway.enabled and is_false(value_at(values, "gatewayAPI.enabled")):
        wrong = "nothing would answer on the Gateway, and platform.gateway.enabled is true"
        yield Finding(_at("gatewayAPI.enabled"), wrong, "remove it, or set platform.gateway.enabled: false")


@needs("platform")
def cilium_finds_the_api(subject: Subject) -> Iterator[Finding]:
    """KubePrism listens on the loopback address of each node, at its own port, and nowhere else."""
    values = _of_cilium(subject.spec)
    host, port = value_at(values, "k8sServiceHost"), value_at(values, "k8sServicePort")
    local = isinstance(host, Gone) or host in HERE
    at_kubeprism = isinstance(port, Gone) or str(port) == str(KUBEPRISM_PORT)
    if local and not at_kubeprism:
        wrong = f"nothing answers on port {port} of every node itself: KubePrism has {KUBEPRISM_PORT}"
        yield Finding(_at("k8sServicePort"), wrong, "remove it, or name the host that answers there as k8sServiceHost")
    elif not local and host != "auto" and at_kubeprism:
        wrong = f"KubePrism's port {KUBEPRISM_PORT} is open on each node's own loopback address and not on {host}"
        yield Finding(_at("k8sServiceHost"), wrong, "remove it, or set k8sServicePort too, such as 6443")


@needs("platform", "talos")
def cilium_lets_host_dns_answer(subject: Subject) -> Iterator[Finding]:
    """https://docs.siderolabs.com/kubernetes-guides/cni/deploying-cilium, known issues: BPF masquerading."""
    values = _of_cilium(subject.spec)
    if not is_false(value_at(values, "bpf.hostLegacyRouting")) or is_false(value_at(values, "bpf.masquerade")):
        return
    field = "machine.features.hostDNS.forwardKubeDNSToHost"
    patches = list(patch_documents(subject.spec.talos.patches, subject.root))
    if not any(is_false(value_at(patch.document, field)) for patch in patches if patch.scope == "all"):
        wrong = "pods would find no name: kube-dns asks each node's host DNS, which BPF masquerading does not reach so"
        yield Finding(_at("bpf.hostLegacyRouting"), wrong, f"true is expected, or {field}: false in a patch for all")
