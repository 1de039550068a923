"""What changing a field of each class does to a node that runs: one row per class, with the Talos source behind it."""

import pytest

from infraflux.config.models.policy import Disruption
from infraflux.operations.plan.effects import effect_of

RUNS = "applied while the node runs"
UPGRADE = "applied by the next Kubernetes upgrade, or at the bootstrap"
NONE, SERVICE, NODE = Disruption.NONE, Disruption.SERVICE_RESTART, Disruption.NODE_RESTART

# field, disruption, words, file of Talos v1.13 below internal/app/machined/pkg/controllers that says so
CLASSES = {
    "sysctl": ("machine.sysctls.vm.swappiness", NONE, RUNS, "runtime/kernel_param_config.go"),
    "volume on a data disk": (
        *("UserVolumeConfig/data.filesystem.type", NONE),
        *(f"{RUNS}, its data disks: /var/mnt/data", "block/user_volume_config.go"),
    ),
    "time server": ("machine.time.servers[0]", NONE, RUNS, "network/timeserver_config.go"),
    "node label": ("machine.nodeLabels.zone", NONE, RUNS, "k8s/node_label_spec.go"),
    "name for the Talos API": ("machine.certSANs[3]", NONE, RUNS, "secrets/api.go"),
    "kubelet argument": ("machine.kubelet.extraArgs.v", SERVICE, "kubelet restarts", "k8s/kubelet_service.go"),
    "kubelet image": ("machine.kubelet.image", SERVICE, "kubelet restarts", "k8s/kubelet_spec.go"),
    "API server argument": (
        *("cluster.apiServer.extraArgs.v", SERVICE),
        *("kube-apiserver restarts", "k8s/control_plane_static_pod.go"),
    ),
    "controller manager": (
        *("cluster.controllerManager.image", SERVICE),
        *("kube-controller-manager restarts", "k8s/control_plane_static_pod.go"),
    ),
    "scheduler": (
        *("cluster.scheduler.config.x", SERVICE),
        *("kube-scheduler restarts", "k8s/control_plane_static_pod.go"),
    ),
    "cluster endpoint": (
        *("cluster.controlPlane.endpoint", SERVICE),
        *("kube-apiserver restarts", "k8s/control_plane.go"),
    ),
    "pod network": (
        *("cluster.network.podSubnets[0]", SERVICE),
        *("kube-controller-manager restarts", "k8s/control_plane.go"),
    ),
    "service network": (
        *("cluster.network.serviceSubnets[0]", SERVICE),
        *("kube-apiserver, kube-controller-manager and kubelet restart", "k8s/control_plane.go, kubelet_config.go"),
    ),
    "DNS domain": ("cluster.network.dnsDomain", SERVICE, "kubelet restarts", "k8s/kubelet_config.go"),
    "cluster CA": ("cluster.ca.crt", SERVICE, "control plane components restart", "secrets/kubernetes.go"),
    "encryption of secrets": (
        *("cluster.secretboxEncryptionSecret", SERVICE),
        *("kube-apiserver restarts", "k8s/render_secrets_static_pod.go"),
    ),
    "static pod": ("machine.pods[0].spec", SERVICE, "its static pods restart", "k8s/static_pod_config.go"),
    "interface": (
        *("machine.network.interfaces[0].mtu", SERVICE),
        *("the node's network is set up anew", "network/link_config.go"),
    ),
    "registry": (
        *("machine.registries.mirrors.docker.io.endpoints[0]", SERVICE),
        *("containerd reads its registries anew", "files/cri_registry_config.go"),
    ),
    "etcd argument": (
        *("cluster.etcd.extraArgs.x", NONE),
        *(f"{RUNS}, etcd takes it up at the next restart of the node", "etcd/spec.go"),
    ),
    "installer": (
        *("machine.install.image", NONE),
        *(f"{RUNS}, taken up by the next upgrade of Talos", "none reads it but the installer"),
    ),
    "manifest": ("cluster.extraManifests[0]", NONE, f"{RUNS}, {UPGRADE}", "k8s/manifest_apply.go"),
    "kube-proxy": ("cluster.proxy.disabled", NONE, f"{RUNS}, {UPGRADE}", "k8s/manifest_apply.go"),
    "CNI": ("cluster.network.cni.name", NONE, f"{RUNS}, {UPGRADE}", "k8s/manifest_apply.go"),
}


@pytest.mark.parametrize(("field", "disruption", "words", "_source"), CLASSES.values(), ids=CLASSES.keys())
def test_a_field_of_each_class(field: str, disruption: Disruption, words: str, _source: str):
    found = effect_of([f"v1alpha1.{field}"], reboots=False)
    assert (found.disruption, found.words) == (disruption, words)


@pytest.mark.parametrize(("field", "_disruption", "_words", "_source"), CLASSES.values(), ids=CLASSES.keys())
def test_what_talos_cannot_apply_at_once_restarts_the_node(field: str, _disruption: object, _words: str, _source: str):
    found = effect_of([f"v1alpha1.{field}"], reboots=True)
    assert (found.disruption, found.words) == (NODE, "the node restarts")


TOGETHER = {
    "the worst counts": (
        ["v1alpha1.machine.sysctls.a", "v1alpha1.machine.kubelet.image", "v1alpha1.cluster.etcd.image"],
        SERVICE,
        "kubelet restarts, etcd takes it up at the next restart of the node",
    ),
    "each is said once": (
        ["v1alpha1.machine.kubelet.image", "v1alpha1.machine.kubelet.extraArgs.v"],
        SERVICE,
        "kubelet restarts",
    ),
    "a longer name is another field": (["v1alpha1.machine.kubeletX", "v1alpha1.cluster.caX"], NONE, RUNS),
    "a document beside the main one": (["HostnameConfig.hostname"], NONE, RUNS),
    "no field at all": ([], NONE, RUNS),
}


@pytest.mark.parametrize(("fields", "disruption", "words"), TOGETHER.values(), ids=TOGETHER.keys())
def test_fields_together(fields: list[str], disruption: Disruption, words: str):
    found = effect_of(fields, reboots=False)
    assert (found.disruption, found.words) == (disruption, words)
