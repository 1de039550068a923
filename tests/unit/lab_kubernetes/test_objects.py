import dataclasses
import json
from typing import Any

import pytest

from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes.objects import (
    OWNED_LABELS,
    OWNED_TAINTS,
    has_kubelet,
    kubelet_label,
    mirrored,
    node_object,
    node_status,
    parse_taint,
    same_mirror,
    static_pods,
    talos_labels,
)
from infraflux_lab.kubernetes.programs import FORMER_KWOK_LABEL, KWOK_LABEL
from infraflux_lab.kubernetes.settings import read_settings

NODE = NodeFacts(
    name="dev-1-cp-1",
    address="127.78.1.11",
    control_plane=True,
    machine_key="dev/10011",
    cores=2,
    memory_mib=4096,
    kubelet_version="v1.36.3",
    labels={"topology.kubernetes.io/zone": "pve-1"},
)
WORKER = dataclasses.replace(NODE, control_plane=False, taints=("gpu=true:NoExecute",))
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("node", "schedulable", "taints"),
    [
        (NODE, False, [CONTROL_PLANE_TAINT]),
        (NODE, True, []),
        (
            dataclasses.replace(NODE, taints=("node-role.kubernetes.io/control-plane:NoSchedule",)),
            False,
            [CONTROL_PLANE_TAINT],
        ),
        (WORKER, False, [{"key": "gpu", "value": "true", "effect": "NoExecute"}]),
    ],
    ids=["control plane", "schedulable control plane", "taint named twice", "worker"],
)
def test_taints_that_talos_writes(node: NodeFacts, schedulable: bool, taints: list[dict[str, str]]) -> None:
    patch = talos_labels(node, bare(), schedulable_control_planes=schedulable)
    assert (patch.get("spec") or {"taints": []})["taints"] == taints


def test_taints_that_a_kubelet_registers_with() -> None:
    node = dataclasses.replace(WORKER, registered_taints=("gpu=true:NoSchedule",))
    assert node_object(node)["spec"]["taints"] == [{"key": "gpu", "value": "true", "effect": "NoSchedule"}]


def bare(*, labels=None, taints=None, owned_labels=(), owned_taints=()):
    annotations = {OWNED_LABELS: json.dumps(list(owned_labels)), OWNED_TAINTS: json.dumps(list(owned_taints))}
    return {"metadata": {"labels": labels or {}, "annotations": annotations}, "spec": {"taints": taints or []}}


MINE, OTHERS = {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}


def test_talos_takes_away_what_it_wrote_and_leaves_the_rest() -> None:
    node = dataclasses.replace(WORKER, labels={}, taints=())
    live = bare(labels={"mine": "1", "others": "1"}, taints=[MINE, OTHERS], owned_labels=["mine"], owned_taints=["a"])
    patch = talos_labels(node, live, schedulable_control_planes=False)
    assert patch["metadata"]["labels"] == {"mine": None}
    assert patch["spec"]["taints"] == [OTHERS]


def test_talos_leaves_what_somebody_else_set_otherwise() -> None:
    node = dataclasses.replace(WORKER, labels={"tier": "edge"}, taints=("a=1:NoSchedule",))
    patch = talos_labels(node, bare(labels={"tier": "core"}, taints=[MINE]), schedulable_control_planes=False)
    assert patch == {"metadata": {"labels": {}, "annotations": dict.fromkeys((OWNED_LABELS, OWNED_TAINTS))}}


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("a=b:NoSchedule", {"key": "a", "value": "b", "effect": "NoSchedule"}),
        ("a:NoExecute", {"key": "a", "effect": "NoExecute"}),
        ("example.org/a=:NoSchedule", {"key": "example.org/a", "effect": "NoSchedule"}),
    ],
)
def test_parse_taint(text: str, taint: dict[str, str]) -> None:
    assert parse_taint(text) == taint


def test_the_role_label_is_the_control_planes_alone_and_talos_writes_it() -> None:
    assert CONTROL_PLANE not in node_object(NODE)["metadata"]["labels"], "the kubelet may not give it to itself"
    written = talos_labels(NODE, bare(), schedulable_control_planes=False)["metadata"]
    assert written["labels"][CONTROL_PLANE] == ""
    assert CONTROL_PLANE in json.loads(written["annotations"][OWNED_LABELS])
    assert CONTROL_PLANE not in talos_labels(WORKER, bare(), schedulable_control_planes=False)["metadata"]["labels"]


@pytest.mark.parametrize(
    ("node", "schedulable", "taints"),
    [(NODE, False, [CONTROL_PLANE_TAINT]), (NODE, True, []), (WORKER, False, [])],
    ids=["control plane", "schedulable control plane", "worker"],
)
def test_a_control_plane_registers_with_its_taint(node: NodeFacts, schedulable: bool, taints: list[Any]) -> None:
    assert node_object(node, schedulable_control_planes=schedulable)["spec"]["taints"] == taints


def test_a_node_has_no_provider_and_the_machines_uuid() -> None:
    node = dataclasses.replace(NODE, system_uuid="00000000-0000-4000-8000-000000010011", boot_id="b")
    assert "providerID" not in node_object(node)["spec"]
    info = node_status(node)["status"]["nodeInfo"]
    assert (info["systemUUID"], info["bootID"]) == (node.system_uuid, "b")


def test_a_mirror_pod_is_its_nodes_and_changes_with_its_content(config: dict[str, Any]) -> None:
    pod, *_ = static_pods(NODE, read_settings(config))
    mirror = mirrored(pod, node_name="dev-1-cp-1", node_uid="u1")
    assert mirror["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"]
    assert same_mirror(mirror, mirrored(pod, node_name="dev-1-cp-1", node_uid="u1"))
    changed = dataclasses.replace(NODE, config_versions={"kube-apiserver": "8"})
    newer, *_ = static_pods(changed, read_settings(config))
    assert not same_mirror(mirror, mirrored(newer, node_name="dev-1-cp-1", node_uid="u1"))
    assert not same_mirror(mirror, mirrored(pod, node_name="dev-1-cp-1", node_uid="u2"))


def test_status_shows_the_machine() -> None:
    status = node_status(NODE)["status"]

    assert {"type": "InternalIP", "address": "127.78.1.11"} in status["addresses"]
    assert status["capacity"] == {"cpu": "2", "memory": "4096Mi", "pods": "110"}
    assert status["allocatable"]["memory"] == "3584Mi"
    assert status["nodeInfo"]["kubeletVersion"] == "v1.36.3"


def test_static_pods_are_what_health_checks_look_for(config: dict[str, Any]) -> None:
    versions = {"kube-apiserver": "7", "kube-scheduler": "2"}
    images = {"kube-scheduler": "registry.k8s.io/kube-scheduler:v1.35.4"}
    node = dataclasses.replace(NODE, config_versions=versions, images=images)
    pods = static_pods(node, read_settings(config))

    assert [pod["metadata"]["name"] for pod in pods] == [
        "kube-apiserver-dev-1-cp-1",
        "kube-controller-manager-dev-1-cp-1",
        "kube-scheduler-dev-1-cp-1",
    ]
    for pod, component in zip(pods, ("kube-apiserver", "kube-controller-manager", "kube-scheduler"), strict=True):
        assert pod["metadata"]["labels"]["k8s-app"] == component
        assert pod["metadata"]["annotations"] == {"talos.dev/config-version": versions.get(component, "1")}
        assert pod["spec"]["nodeName"] == "dev-1-cp-1"
        image = images.get(component, f"registry.k8s.io/{component}:v1.36.3")
        assert pod["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(("label", "played"), [(KWOK_LABEL, True), (FORMER_KWOK_LABEL, True), ("tier", False)])
def test_a_node_of_an_older_lab_has_a_kubelet_too(label: str, played: bool) -> None:
    assert has_kubelet({"metadata": {"labels": {label: "kwok"}}}) is played


@pytest.mark.parametrize("present", [True, False])
def test_the_label_of_an_older_lab_goes(present: bool) -> None:
    labels = kubelet_label(present=present)["metadata"]["labels"]
    assert labels == {KWOK_LABEL: "kwok" if present else None, FORMER_KWOK_LABEL: None}
