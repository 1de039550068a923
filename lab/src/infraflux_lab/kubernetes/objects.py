"""Objects the lab puts into its clusters in place of Talos and the kubelets: pure functions."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes.programs import FORMER_KWOK_LABEL, KWOK_LABEL, KWOK_LABEL_VALUE
from infraflux_lab.kubernetes.settings import ClusterSettings

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
_CONTROL_PLANE_TAINT = {"key": CONTROL_PLANE_LABEL, "effect": "NoSchedule"}
CONFIG_VERSION_ANNOTATION = "talos.dev/config-version"
CNI_ANNOTATION = "lab.infraflux.io/cni"
_MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
OWNED_LABELS, OWNED_TAINTS = "talos.dev/owned-labels", "talos.dev/owned-taints"
SYSTEM_NAMESPACE = "kube-system"
STATIC_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# What the kubelet keeps for itself and the system; Talos' defaults leave about this much.
_RESERVED_MEMORY_MIB = 512
_PODS_PER_NODE = 110


def node_path(name: str) -> str:
    """REST path of a Node."""
    return f"/api/v1/nodes/{name}"


def pod_path(name: str) -> str:
    """REST path of a pod in kube-system."""
    return f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{name}"


def node_object(node: NodeFacts, *, schedulable_control_planes: bool = False) -> dict[str, Any]:
    """Metadata and spec as the kubelet registers them, without the label that makes kwok play the kubelet.

    There is no provider id: Talos sets none on platform nocloud.
    """
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": _labels(node)},
        "spec": {"taints": _registered_taints(node, schedulable_control_planes=schedulable_control_planes)},
    }


def _registered_taints(node: NodeFacts, *, schedulable_control_planes: bool) -> list[dict[str, str]]:
    """Those of the machine config; Talos adds a control plane's own, so that no pod slips in before it writes it.

    internal/app/machined/pkg/controllers/k8s/kubelet_spec.go (Talos 1.13).
    """
    taints = [parse_taint(taint) for taint in node.registered_taints]
    if node.control_plane and not schedulable_control_planes:
        taints += [] if any(one["key"] == CONTROL_PLANE_LABEL for one in taints) else [dict(_CONTROL_PLANE_TAINT)]
    return taints


def talos_labels(node: NodeFacts, live: Mapping[str, Any], *, schedulable_control_planes: bool) -> dict[str, Any]:
    """Merge patch with the labels and taints that Talos keeps on a Node; what it wrote before and no longer wants goes.

    As Talos' NodeApplyController (internal/app/machined/pkg/controllers/k8s/node_apply.go): what somebody else set
    otherwise is left alone. A control plane's role is one of the labels (node_label_spec.go).
    """
    annotations = live["metadata"].get("annotations") or {}
    owned_labels, owned_taints = (set(json.loads(annotations.get(name, "[]"))) for name in (OWNED_LABELS, OWNED_TAINTS))
    seen, taints = live["metadata"].get("labels") or {}, list((live.get("spec") or {}).get("taints") or [])
    own = {**node.labels, **({CONTROL_PLANE_LABEL: ""} if node.control_plane else {})}
    labels: dict[str, Any] = {key: value for key, value in own.items() if key in owned_labels or key not in seen}
    labels |= dict.fromkeys(owned_labels - set(own))
    wanted = {one["key"]: one for one in _taints(node, schedulable_control_planes=schedulable_control_planes)}
    kept = [one for one in taints if one["key"] not in owned_taints]
    added = [one for key, one in wanted.items() if key not in {taint["key"] for taint in kept}]
    ours = [one["key"] for one in added] + [one["key"] for one in kept if wanted.get(one["key"]) == one]
    owned = {OWNED_LABELS: sorted(key for key in own if key in labels or seen[key] == own[key])}
    owned[OWNED_TAINTS] = sorted(ours)
    patch: dict[str, Any] = {"metadata": {"labels": labels}}
    patch["metadata"]["annotations"] = {name: json.dumps(keys) if keys else None for name, keys in owned.items()}
    # Left out where nothing changes: the API server refuses a kubelet every change of its taints.
    if kept + added != taints:
        patch["spec"] = {"taints": kept + added}
    return patch


def node_status(node: NodeFacts) -> dict[str, Any]:
    """Facts of the machine; kwok keeps them and adds the conditions."""
    memory_mib = max(node.memory_mib - _RESERVED_MEMORY_MIB, node.memory_mib // 2)
    capacity = {"cpu": str(node.cores), "memory": f"{node.memory_mib}Mi", "pods": str(_PODS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ],
            "capacity": capacity,
            "allocatable": {**capacity, "memory": f"{memory_mib}Mi"},
            "nodeInfo": _node_info(node),
        },
    }


def kubelet_label(*, present: bool) -> dict[str, Any]:
    """Merge patch that makes kwok start or stop playing the kubelet of a node; what an older lab wrote goes."""
    return {"metadata": {"labels": {KWOK_LABEL: KWOK_LABEL_VALUE if present else None, FORMER_KWOK_LABEL: None}}}


def has_kubelet(node: Mapping[str, Any]) -> bool:
    """Whether kwok plays the kubelet of this Node, or did in an older lab."""
    labels = node["metadata"].get("labels", {})
    return KWOK_LABEL in labels or FORMER_KWOK_LABEL in labels


def not_ready_conditions(now: str) -> dict[str, Any]:
    """What a kubelet writes last when its machine shuts down (https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/).

    After the grace period the node controller makes Unknown of it, as with a machine that lost its power.
    """
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "KubeletNotReady",
        "message": "node is shutting down",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {"status": {"conditions": [condition]}}


def pod_not_ready(now: str) -> dict[str, Any]:
    """What the node controller says of pods whose kubelet is gone: Services and Deployments stop counting them."""
    return {"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]}}


def static_pods(node: NodeFacts, settings: ClusterSettings) -> list[dict[str, Any]]:
    """The control plane pods Talos' health checks and `upgrade-k8s` look for; kwok makes them Ready.

    What Talos gives the kubelet; `mirrored` makes of it what the kubelet puts into the API.
    """
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{component}-{node.name}",
                "namespace": SYSTEM_NAMESPACE,
                "labels": {"k8s-app": component, "component": component, "tier": "control-plane"},
                "annotations": {CONFIG_VERSION_ANNOTATION: node.config_versions.get(component, "1")},
            },
            "spec": _static_pod_spec(component, node, image=image_of(component, settings, node)),
        }
        for component in STATIC_PODS
    ]


def mirrored(pod: Mapping[str, Any], *, node_name: str, node_uid: str) -> dict[str, Any]:
    """The mirror pod of a static pod: drains leave it alone, and it goes with its Node.

    pkg/kubelet/pod/mirror_client.go and pkg/kubelet/types/pod_update.go of Kubernetes.
    """
    digest = hashlib.md5(json.dumps(pod, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    metadata = dict(pod["metadata"])
    metadata["annotations"] = {
        **metadata["annotations"],
        "kubernetes.io/config.hash": digest,
        _MIRROR_ANNOTATION: digest,
        "kubernetes.io/config.source": "file",
    }
    owner = {"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid, "controller": True}
    metadata["ownerReferences"] = [owner]
    return {**pod, "metadata": metadata}


def same_mirror(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the pod in the API is this static pod's and stays."""
    found, metadata = existing["metadata"], wanted["metadata"]
    if (
        found.get("deletionTimestamp")
        or found.get("ownerReferences", [{}])[0].get("uid") != (metadata["ownerReferences"][0]["uid"])
    ):
        return False
    hashes = [(one.get("annotations") or {}).get(_MIRROR_ANNOTATION) for one in (found, metadata)]
    return hashes[0] == hashes[1]


def image_of(component: str, settings: ClusterSettings, node: NodeFacts) -> str:
    """Image named in the node's machine config, else in the home's, else the registry's for the kubelet's version."""
    named = node.images.get(component) or settings.images.get(component)
    return named or f"registry.k8s.io/{component}:{node.kubelet_version}"


def default_service_account() -> dict[str, Any]:
    """The account pods run as that name none."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": SYSTEM_NAMESPACE},
    }


def _labels(node: NodeFacts) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
    }


def _taints(node: NodeFacts, *, schedulable_control_planes: bool) -> list[dict[str, str]]:
    taints = [parse_taint(taint) for taint in node.taints]
    if node.control_plane and not schedulable_control_planes and _CONTROL_PLANE_TAINT not in taints:
        taints.append(dict(_CONTROL_PLANE_TAINT))
    return taints


def parse_taint(text: str) -> dict[str, str]:
    """`key=value:Effect` or `key:Effect`, as `kubectl taint` writes them."""
    subject, _, effect = text.rpartition(":")
    key, equals, value = subject.partition("=")
    taint = {"key": key, "effect": effect}
    return {**taint, "value": value} if equals and value else taint


def _node_info(node: NodeFacts) -> dict[str, str]:
    return {
        "architecture": "amd64",
        "bootID": node.boot_id,
        "containerRuntimeVersion": "containerd://2.2.3",
        "kernelVersion": "6.18.0-talos",
        "kubeProxyVersion": "",
        "kubeletVersion": node.kubelet_version,
        "machineID": node.system_uuid.replace("-", ""),
        "operatingSystem": "linux",
        "osImage": node.os_image,
        "systemUUID": node.system_uuid,
    }


def _static_pod_spec(component: str, node: NodeFacts, *, image: str) -> Mapping[str, Any]:
    return {
        "nodeName": node.name,
        "hostNetwork": True,
        "priorityClassName": "system-cluster-critical",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": component, "image": image}],
    }
