"""Which pod is a CNI, where it is there, and how Talos' inventory names what was applied."""

from typing import Any

import pytest
from labkit.cni import CNI

from infraflux_lab.kubernetes.apply import inventory_entry
from infraflux_lab.kubernetes.cni import is_cni, nodes_with


def _with_volumes(*paths: str) -> dict[str, Any]:
    return {"spec": {"volumes": [{"name": "v", "hostPath": {"path": path}} for path in paths]}}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(CNI["spec"]["template"], True, id="mounts the directory of configurations"),
        pytest.param(_with_volumes("/etc/cni"), True, id="mounts all of it"),
        pytest.param(_with_volumes("/etc/cnight"), False, id="another directory"),
        pytest.param(_with_volumes("/opt/cni/bin"), False, id="programs alone make no network"),
        pytest.param({"spec": {}}, False, id="no volumes"),
        pytest.param({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}, False, id="no host path"),
    ],
)
def test_a_cni_writes_the_nodes_configuration(pod: dict[str, Any], expected: bool) -> None:
    assert is_cni(pod) is expected


def _pod(node: str, ready: str | None) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    return {"spec": {"nodeName": node} if node else {}, "status": {"conditions": conditions}}


def test_a_node_has_a_cni_while_its_pod_is_ready_and_loses_it_with_the_pod() -> None:
    pods = [_pod("a", "True"), _pod("b", "False"), _pod("c", None), _pod("", None)]
    assert nodes_with(pods) == ({"a"}, {"a", "b", "c"})


@pytest.mark.parametrize(
    ("api_version", "kind", "name", "namespace", "expected"),
    [
        ("v1", "ConfigMap", "coredns", "kube-system", "kube-system_coredns__ConfigMap"),
        ("apps/v1", "Deployment", "coredns", "kube-system", "kube-system_coredns_apps_Deployment"),
        (
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            "system:coredns",
            "",
            "_system__coredns_rbac.authorization.k8s.io_ClusterRole",
        ),
    ],
)
def test_inventory(api_version: str, kind: str, name: str, namespace: str, expected: str) -> None:
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    assert inventory_entry(document, namespace=namespace) == expected
