"""What a helm release runs: which workloads are not ready yet, and what their pods say about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest

RELEASE = "meta.helm.sh/release-name"
"""helm's own mark on everything it makes."""
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, kw_only=True)
class Unready:
    """A workload whose pods are not all ready with its newest template."""

    kind: str
    name: str
    ready: int
    wanted: int
    why: str = ""
    """What its first pod that is not ready says; empty where no pod says anything."""

    def __str__(self) -> str:
        tail = f" ({self.why})" if self.why else ""
        return f"{self.kind} {self.name}: {self.ready} of {self.wanted} ready{tail}"


def read_unready(kubernetes: Kubernetes, *, namespace: str, release: str) -> list[Unready]:
    """The workloads of a helm release that are not ready; raises as the API server answers."""
    listed = [one for kind in KINDS for one in kubernetes.list_objects("apps/v1", kind, namespace=namespace)]
    found = [one for one in listed if (one["metadata"].get("annotations") or {}).get(RELEASE) == release]
    behind = [(one, ready, wanted) for one in found for ready, wanted in [_counts(one)] if ready < wanted]
    pods = kubernetes.list_objects("v1", "Pod", namespace=namespace) if behind else []
    return [
        Unready(kind=one["kind"], name=one["metadata"]["name"], ready=ready, wanted=wanted, why=_why(one, pods))
        for one, ready, wanted in behind
    ]


def _counts(workload: Mapping[str, Any]) -> tuple[int, int]:
    """Pods that are ready and of the newest template, and pods that there should be."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if workload["kind"] == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled") or 0)
        ready, updated = status.get("numberReady"), status.get("updatedNumberScheduled")
    else:
        # Left out means one.
        wanted = int(spec.get("replicas", 1))
        ready, updated = status.get("readyReplicas"), status.get("updatedReplicas")
    if int(status.get("observedGeneration") or 0) < int(workload["metadata"].get("generation") or 0):
        return 0, max(wanted, 1)
    return min(int(ready or 0), int(updated or 0)), wanted


def _why(workload: Mapping[str, Any], pods: list[Manifest]) -> str:
    labels = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    own = [one for one in pods if labels.items() <= (one["metadata"].get("labels") or {}).items()]
    return next((text for pod in own for text in _complaints(pod)), "")


def _complaints(pod: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a pod from being ready, the most telling first."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (one.get("state") or {}).get("waiting") or {}
        # PodInitializing is what every container says while an init container is the one that waits.
        if waiting.get("reason") not in (None, "PodInitializing"):
            yield f"pod {name}: {waiting['reason']}" + (f": {waiting['message']}" if waiting.get("message") else "")
    for one in status.get("conditions") or ():
        if one.get("status") == "False" and one.get("message"):
            yield f"pod {name}: {one['message']}"
