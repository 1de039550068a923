"""A CNI for clusters that have none: a DaemonSet that would write the node's CNI configuration, and does nothing."""

import json
from pathlib import Path
from typing import Any

from infraflux.adapters.kubernetes.client import Kubernetes

_LABELS = {"k8s-app": "test-cni"}
CNI: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "test-cni", "namespace": "kube-system"},
    "spec": {
        "selector": {"matchLabels": _LABELS},
        "template": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "hostNetwork": True,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "cni", "image": "example.org/cni:1"}],
                "volumes": [{"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}}],
            },
        },
    },
}
CNI_TEXT = json.dumps(CNI)


def install_cni(kubeconfig: Path, *, cluster: str) -> None:
    """Let the cluster's nodes become Ready, as Cilium's installation would."""
    kubernetes = Kubernetes.from_kubeconfig(kubeconfig, cluster=cluster)
    try:
        kubernetes.apply(CNI, manager="test-cni")
    finally:
        kubernetes.close()
