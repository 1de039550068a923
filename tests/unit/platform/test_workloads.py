"""Which workloads are not ready, and what their pods say."""

import pytest

from infraflux.adapters.kubernetes.workloads import RELEASE, read_unready


class FakeKubernetes:
    def __init__(self, *objects):
        self.objects = objects

    def list_objects(self, _api_version, kind, *, namespace):
        return [one for one in self.objects if one["kind"] == kind]


def workload(kind="Deployment", generation=2, replicas=2, **status):
    return {
        "kind": kind,
        "metadata": {"name": "one", "generation": generation, "annotations": {RELEASE: "argocd"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "one"}}},
        "status": {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2} | status,
    }


def pod(*, app="one", waiting=None, condition=""):
    statuses = [{"state": {"waiting": waiting}}] if waiting else []
    conditions = [{"type": "Ready", "status": "False", "message": condition}] if condition else []
    status = {"containerStatuses": statuses, "conditions": conditions}
    return {"kind": "Pod", "metadata": {"name": "one-x", "labels": {"app": app}}, "status": status}


def daemons(ready=3):
    return workload("DaemonSet", desiredNumberScheduled=3, updatedNumberScheduled=3, numberReady=ready)


PULL = {"reason": "ImagePullBackOff", "message": "no such image"}
UNREADY = {
    "pods-not-ready": (workload(readyReplicas=1), "Deployment one: 1 of 2 ready"),
    "pods-of-the-old-template": (workload(updatedReplicas=1), "Deployment one: 1 of 2 ready"),
    "controller-has-not-looked-yet": (workload(generation=3), "Deployment one: 0 of 2 ready"),
    "new-and-without-status": (workload() | {"status": {}}, "Deployment one: 0 of 2 ready"),
    "stateful": (workload("StatefulSet", readyReplicas=0), "StatefulSet one: 0 of 2 ready"),
    "daemons": (daemons(2), "DaemonSet one: 2 of 3 ready"),
}
READY = {
    "all-there": workload(),
    "none-wanted": workload(replicas=0, readyReplicas=None, updatedReplicas=None),
    "daemons": daemons(),
    "of-another-release": workload(readyReplicas=0) | {"metadata": {"name": "one"}},
}
SAID = {
    "image": ([pod(waiting=PULL)], " (pod one-x: ImagePullBackOff: no such image)"),
    "waiting-for-an-init-container": ([pod(waiting={"reason": "PodInitializing"}, condition="x")], " (pod one-x: x)"),
    "no-node": ([pod(condition="0/3 nodes are available")], " (pod one-x: 0/3 nodes are available)"),
    "somebody-elses": ([pod(app="other", waiting=PULL)], ""),
    "silent": ([pod()], ""),
}


@pytest.mark.parametrize("case", UNREADY)
def test_what_is_not_ready_is_counted(case):
    made, text = UNREADY[case]
    assert [str(one) for one in read_unready(FakeKubernetes(made), namespace="argocd", release="argocd")] == [text]


@pytest.mark.parametrize("case", READY)
def test_what_is_ready_is_not_named(case):
    assert read_unready(FakeKubernetes(READY[case]), namespace="argocd", release="argocd") == []


@pytest.mark.parametrize("case", SAID)
def test_its_pods_say_why(case):
    pods, tail = SAID[case]
    (found,) = read_unready(FakeKubernetes(workload(readyReplicas=0), *pods), namespace="argocd", release="argocd")
    assert str(found) == f"Deployment one: 0 of 2 ready{tail}"
