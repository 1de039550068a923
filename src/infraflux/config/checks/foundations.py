"""What InfraFlux itself stands on, and patches and values that take it away or are overridden by it in silence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import Gone, PatchDocument, is_false, is_true, patch_documents, value_at
from infraflux.config.models import ClusterSpec

KUBEPRISM_PORT = 7445
"""Where platform/infrastructure/cilium and the module cilium-config look for the API on every node."""
API_PORT = 6443
"""Of `ClusterSpec.endpoint`."""
BY_CILIUM = "Cilium is what InfraFlux installs; its settings are platform.components.cilium.values"


@dataclass(frozen=True)
class Foundation:
    """One field of the machine config that a patch may only set to what it already is."""

    field: str
    wanted: Callable[[ClusterSpec], Any]
    wrong: str
    right: str
    default_differs: bool = False
    """Whether Talos' own default, which holds once the field is deleted, would be wrong too."""


def _never(_spec: ClusterSpec) -> Any:
    return Gone.ABSENT


def _key(field: str, wanted: Callable[[ClusterSpec], Any], key: str, *, default_differs: bool = False) -> Foundation:
    right = f"set {key} instead: everything else follows it too"
    return Foundation(
        field, wanted, f"{field} would override {key} in the machine config alone", right, default_differs
    )


def _from_bundle(field: str) -> Foundation:
    right = "leave it to the bundle: with another one the nodes lock each other and InfraFlux out"
    return Foundation(field, _never, f"{field} comes from the cluster's secrets bundle", right)


# Fields and defaults: https://docs.siderolabs.com/talos/v1.13/reference/configuration/v1alpha1/config
FOUNDATIONS = (
    Foundation(
        "machine.features.kubePrism.enabled",
        lambda _: True,
        f"KubePrism would be off, and Cilium reaches the Kubernetes API by it alone (localhost:{KUBEPRISM_PORT})",
        "no pod would ever get a network: leave it on",
        default_differs=True,
    ),
    Foundation(
        "machine.features.kubePrism.port",
        lambda _: KUBEPRISM_PORT,
        f"Cilium looks for KubePrism at port {KUBEPRISM_PORT}",
        "no pod would ever get a network: leave the port as it is",
    ),
    Foundation("cluster.network.cni.name", lambda _: "none", "Talos would install another CNI beside Cilium", BY_CILIUM,
               default_differs=True),
    Foundation("cluster.proxy.disabled", lambda _: True, "kube-proxy would run beside Cilium, which replaces it",
               "two of them rewrite each other's services: leave it off", default_differs=True),
    Foundation(
        "cluster.controllerManager.extraArgs.allocate-node-cidrs",
        lambda _: True,
        "no node would get its block of network.pod_cidr, from which Cilium takes the addresses of pods",
        "leave it on",
    ),
    Foundation("machine.kubelet.skipNodeRegistration", lambda _: False, "the machine would never become a node",
               "InfraFlux waits for every machine as a node: leave it out"),
    _key("cluster.network.podSubnets", lambda spec: [str(spec.network.pod_cidr)], "network.pod_cidr",
         default_differs=True),
    _key("cluster.network.serviceSubnets", lambda spec: [str(spec.network.service_cidr)], "network.service_cidr",
         default_differs=True),
    _key("cluster.network.dnsDomain", lambda spec: spec.network.cluster_domain, "network.cluster_domain"),
    _key("cluster.apiServer.extraArgs.service-cluster-ip-range", lambda spec: str(spec.network.service_cidr),
         "network.service_cidr"),
    _key("cluster.controllerManager.extraArgs.service-cluster-ip-range", lambda spec: str(spec.network.service_cidr),
         "network.service_cidr"),
    _key("cluster.controllerManager.extraArgs.cluster-cidr", lambda spec: str(spec.network.pod_cidr),
         "network.pod_cidr"),
    Foundation(
        "cluster.controlPlane.localAPIServerPort",
        lambda _: API_PORT,
        f"everybody looks for the Kubernetes API at port {API_PORT} of network.vip",
        "nobody would reach it: leave the port as it is",
    ),
    _key("cluster.controlPlane.endpoint", lambda spec: spec.endpoint, "network.vip"),
    _key(
        "cluster.allowSchedulingOnControlPlanes",
        lambda spec: spec.control_planes_take_workloads,
        "talos.schedule_on_control_planes",
    ),
    _key("cluster.clusterName", lambda spec: spec.name, "the name of the cluster's file"),
    *(_from_bundle(f"machine.{name}") for name in ("ca", "token")),
    *(
        _from_bundle(f"cluster.{name}")
        for name in ("id", "secret", "token", "ca", "aggregatorCA", "serviceAccount", "etcd.ca",
                     "secretboxEncryptionSecret")
    ),
)  # fmt: skip

KUBERNETES_IMAGES = (
    "machine.kubelet.image", "cluster.apiServer.image", "cluster.controllerManager.image", "cluster.scheduler.image",
)  # fmt: skip


@needs("talos", "network", "node_pools", "environment", "name")
def patches_leave_the_foundations(subject: Subject) -> Iterator[Finding]:
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        if patch.kind:
            continue
        for foundation in FOUNDATIONS:
            seen = value_at(patch.document, foundation.field)
            if _falls(seen, foundation, subject.spec):
                yield patch.blame(foundation.wrong, foundation.right)


def _falls(seen: Any, foundation: Foundation, spec: ClusterSpec) -> bool:
    if seen is Gone.ABSENT:
        return False
    if seen is Gone.DELETED:
        return foundation.default_differs
    wanted = foundation.wanted(spec)
    if isinstance(wanted, str) and isinstance(seen, list):  # arguments may be lists
        seen = ",".join(map(str, seen))
    if isinstance(wanted, bool):
        return is_false(seen) if wanted else is_true(seen)
    return wanted is Gone.ABSENT or bool(seen != wanted)


@needs("talos")
def host_dns_is_turned_off_whole_or_not_at_all(subject: Subject) -> Iterator[Finding]:
    """kube-dns is forwarded to it: off alone, Talos refuses the config. Talos v1.13.9, v1alpha1_validation.go."""
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        at = "machine.features.hostDNS"
        off = is_false(value_at(patch.document, f"{at}.enabled"))
        if not patch.kind and off and not is_false(value_at(patch.document, f"{at}.forwardKubeDNSToHost")):
            wrong = "host DNS would be off, and kube-dns is still forwarded to it"
            yield patch.blame(wrong, f"set {at}.forwardKubeDNSToHost to false beside it")


@needs("talos", "versions")
def patched_images_are_of_the_pinned_versions(subject: Subject) -> Iterator[Finding]:
    """Another registry is fine; another version would be gone with the next upgrade, or come back with each deploy."""
    versions = subject.spec.versions
    pins = dict.fromkeys(KUBERNETES_IMAGES, ("kubernetes", versions.kubernetes))
    pins["machine.install.image"] = ("talos", versions.talos)
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        for field, (key, pinned) in pins.items():
            tag = "" if patch.kind else _tag(value_at(patch.document, field))
            if tag and tag != pinned:
                wrong = f"{field} is of {tag}, and versions.{key} is {pinned}"
                yield patch.blame(wrong, f"an image tagged {pinned} is expected")


def _tag(image: Any) -> str:
    """`v1.36.3` of `registry.example.org:5000/kubelet:v1.36.3@sha256:...`; empty where it has none."""
    name = str(image).partition("@")[0].rpartition("/")[2] if isinstance(image, str) else ""
    return name.partition(":")[2]


@needs("talos")
def roles_stay_what_they_are(subject: Subject) -> Iterator[Finding]:
    allowed = {"control_plane": "controlplane", "worker": "worker"}
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        seen = value_at(patch.document, "machine.type")
        if not patch.kind and isinstance(seen, str) and seen != allowed.get(patch.scope):
            wrong = f"machine.type {seen} would override the role of these nodes"
            yield patch.blame(wrong, "roles are node_pools.<pool>.role; remove it")


@needs("talos")
def names_of_nodes_stay_what_they_are(subject: Subject) -> Iterator[Finding]:
    """A node of another name is never found again; a domain behind it is fine: Kubernetes gets the first label."""
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        hostname = value_at(patch.document, "hostname")
        if patch.kind != "HostnameConfig" or not isinstance(hostname, str):
            continue
        if patch.node is None:
            wrong = f"hostname {hostname!r} is overridden by each node's own name"
            yield patch.blame(wrong, "names are node_pools.<pool>.nodes; remove the document")
        elif hostname.partition(".")[0] != patch.node:
            wrong = f"{patch.node} would be called {hostname!r}, and nothing would find it by its name"
            yield patch.blame(wrong, f"{patch.node}, with a domain behind it or not; rename the node itself")


@needs("talos")
def no_volume_waits_for_a_tpm(subject: Subject) -> Iterator[Finding]:
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        for volume, slot in _tpm_keys(patch):
            wrong = f"slot {slot} of volume {volume} is sealed by a TPM, and the machines are made without one"
            yield patch.blame(wrong, "the volume would never open: use a key of kind nodeID, static or kms")


def _tpm_keys(patch: PatchDocument) -> Iterator[tuple[str, Any]]:
    if patch.kind:
        encryptions = {str(patch.document.get("name")): value_at(patch.document, "encryption")}
    else:
        at = "machine.systemDiskEncryption"
        encryptions = {name.upper(): value_at(patch.document, f"{at}.{name}") for name in ("state", "ephemeral")}
    for volume, encryption in encryptions.items():
        keys = value_at(encryption, "keys")
        for key in keys if isinstance(keys, list) else ():
            if isinstance(key, dict) and "tpm" in key:
                yield volume, key.get("slot", 0)
