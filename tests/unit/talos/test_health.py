"""The verdict: nothing that was not seen healthy counts as healthy."""

from dataclasses import replace

import pytest
from fakes.specs import make_spec

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.talos.facts import EtcdMember, EtcdSeen
from infraflux.core.errors import Retryable
from infraflux.drift.system_image import wanted_image
from infraflux.operations.health import ClusterSeen, judge, kubernetes_node, read_nodes

SPEC = make_spec(control_planes=1, workers=1)
SERVICES = {
    "dev-1-cp-1": {"apid": True, "kubelet": True, "etcd": True},
    "dev-1-worker-1": {"apid": True, "kubelet": True},
}
ETCD = EtcdSeen((EtcdMember("1", "dev-1-cp-1", (), False),), "dev-1-cp-1")
NODES = (
    KubernetesNode("dev-1-cp-1", True, ("10.0.0.11",), "v1.36.3"),
    KubernetesNode("dev-1-worker-1", True, ("10.0.0.21",), "v1.36.3"),
)


def seen(**changes) -> ClusterSeen:
    return ClusterSeen(**({"services": SERVICES, "etcd": ETCD, "kubernetes": NODES} | changes))


def test_all_as_wanted_is_healthy():
    assert judge(SPEC, seen(), require_ready=True) == []


CASES = {
    "node that could not be asked": (
        {"unanswered": {"dev-1-worker-1": "connection refused"}},
        ["dev-1-worker-1: connection refused"],
    ),
    "no etcd list": ({"etcd": None}, ["etcd: no control plane lists members"]),
    "learner": (
        {"etcd": EtcdSeen((EtcdMember("1", "dev-1-cp-1", (), True),), "x")},
        ["etcd: dev-1-cp-1 is still a learner"],
    ),
    "stranger in etcd": (
        {"etcd": EtcdSeen((*ETCD.members, EtcdMember("2", "ghost", (), False)), "x")},
        ["etcd: ghost is a member and no control plane of the cluster"],
    ),
    "unhealthy service": (
        {"services": SERVICES | {"dev-1-cp-1": {"apid": True, "kubelet": False, "etcd": True}}},
        ["dev-1-cp-1: service kubelet is not healthy"],
    ),
    "absent service": (
        {"services": SERVICES | {"dev-1-cp-1": {"apid": True, "kubelet": True}}},
        ["dev-1-cp-1: service etcd is absent"],
    ),
    "node not registered": ({"kubernetes": NODES[:1]}, ["dev-1-worker-1: not registered in Kubernetes"]),
    "node at another address": (
        {"kubernetes": (NODES[0], KubernetesNode("dev-1-worker-1", True, ("10.9.9.9",), ""))},
        ["dev-1-worker-1: Kubernetes knows it at 10.9.9.9, not 10.0.0.21"],
    ),
    "node not ready": (
        {"kubernetes": (NODES[0], KubernetesNode("dev-1-worker-1", False, ("10.0.0.21",), ""))},
        ["dev-1-worker-1: NotReady"],
    ),
    "another image": (
        {"images": {"dev-1-cp-1": replace(wanted_image(SPEC), version="v1.13.8")}},
        ["dev-1-cp-1: Talos v1.13.8 → v1.13.9"],
    ),
    "extension missing": (
        {"images": {"dev-1-worker-1": replace(wanted_image(SPEC), schematic="a" * 64, extensions=("x",))}},
        [f"dev-1-worker-1: schematic aaaaaaaaaaaa → {wanted_image(SPEC).schematic[:12]}, - x"],
    ),
    "API silent": (
        {"kubernetes": None, "unanswered": {"kubernetes API": "timeout"}},
        ["kubernetes API: timeout"],
    ),
}


@pytest.mark.parametrize(("changes", "problems"), CASES.values(), ids=CASES.keys())
def test_what_is_wrong_is_said(changes: dict, problems: list[str]):
    assert judge(SPEC, seen(**changes), require_ready=True) == problems


def test_before_a_cni_nodes_need_not_be_ready():
    nodes = tuple(KubernetesNode(one.name, False, one.addresses, "") for one in NODES)
    assert judge(SPEC, seen(kubernetes=nodes), require_ready=False) == []


# As a kubelet of Kubernetes 1.36 on Talos says it.
WITHOUT_CNI = {
    "type": "Ready",
    "status": "False",
    "reason": "KubeletNotReady",
    "message": "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network"
    " plugin returns error: cni plugin not initialized",
}
READY = {
    "metadata": {"name": "cp-1"},
    "spec": {"unschedulable": True},
    "status": {
        "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        "addresses": [{"type": "Hostname", "address": "cp-1"}, {"type": "InternalIP", "address": "10.0.0.11"}],
        "nodeInfo": {"kubeletVersion": "v1.36.3"},
    },
}


@pytest.mark.parametrize(
    ("item", "node"),
    [
        pytest.param(READY, KubernetesNode("cp-1", True, ("10.0.0.11",), "v1.36.3", cordoned=True), id="ready"),
        pytest.param({"metadata": {"name": "new"}}, KubernetesNode("new", False, (), ""), id="just-registered"),
        pytest.param(
            {"metadata": {"name": "lost"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            KubernetesNode("lost", False, (), ""),
            id="not-heard-of",
        ),
        pytest.param(
            {"metadata": {"name": "bare"}, "status": {"conditions": [WITHOUT_CNI]}},
            KubernetesNode("bare", False, (), "", waits_for_cni=True),
            id="before a CNI",
        ),
    ],
)
def test_what_a_node_object_says(item: dict, node: KubernetesNode):
    assert kubernetes_node(item) == node


@pytest.mark.parametrize("text", ["", "no: [yaml", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_is_none_is_no_answer(tmp_path, text: str):
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(Retryable):
        read_nodes(path)
