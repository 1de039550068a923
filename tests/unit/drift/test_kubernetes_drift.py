"""Each kind of drift of Kubernetes and GitOps is found with its class; a cluster as declared shows none."""

import pytest
from fakes.specs import make_spec

from infraflux.adapters.argocd import Application
from infraflux.adapters.talos.health import KubernetesNode
from infraflux.drift.findings import DriftClass, Layer
from infraflux.drift.kubernetes import OwnObject, differences, find_gitops_drift, find_node_drift, find_own_object_drift

SPEC = make_spec(control_planes=1, workers=1)
CP = KubernetesNode("dev-1-cp-1", True, ("10.0.0.11",), "v1.36.3")
WORKER = KubernetesNode("dev-1-worker-1", True, ("10.0.0.21",), "v1.36.3")


def worker(**changes) -> KubernetesNode:
    return KubernetesNode(
        **({"name": WORKER.name, "ready": True, "addresses": WORKER.addresses, "kubelet_version": "v1.36.3"} | changes)
    )


def test_nodes_as_declared_show_nothing():
    assert list(find_node_drift(SPEC, [CP, WORKER])) == []


NODES = {
    "not registered": ([CP], "registration", DriftClass.REPAIRABLE),
    "not ready": ([CP, worker(ready=False)], "Ready", DriftClass.DANGEROUS),
    "other version": ([CP, worker(kubelet_version="v1.36.2")], "kubelet version", DriftClass.DANGEROUS),
    "other address": ([CP, worker(addresses=("10.9.9.9",))], "address", DriftClass.DANGEROUS),
    "stranger": ([CP, WORKER, worker(name="ghost")], "registration", DriftClass.DANGEROUS),
}


@pytest.mark.parametrize(("nodes", "field", "drift_class"), NODES.values(), ids=NODES.keys())
def test_node_drift(nodes: list[KubernetesNode], field: str, drift_class: DriftClass):
    [found] = find_node_drift(SPEC, nodes)
    assert (found.field, found.drift_class, found.layer) == (field, drift_class, Layer.KUBERNETES)


def application(sync: str = "Synced", health: str = "Healthy", message: str = "") -> Application:
    return Application(kind="Application", name="cilium", sync=sync, health=health, message=message)


APPLICATIONS = {
    "as wanted": (application(), []),
    "on its way": (application(health="Progressing"), []),
    "out of sync": (application("OutOfSync"), [("sync", DriftClass.REPAIRABLE)]),
    "degraded": (application(health="Degraded", message="pod crashes"), [("health", DriftClass.DANGEROUS)]),
    "both": (application("Unknown", "Missing"), [("sync", DriftClass.REPAIRABLE), ("health", DriftClass.DANGEROUS)]),
}


@pytest.mark.parametrize(("one", "expected"), APPLICATIONS.values(), ids=APPLICATIONS.keys())
def test_application_drift(one: Application, expected: list):
    found = list(find_gitops_drift([one]))
    assert [(finding.field, finding.drift_class) for finding in found] == expected
    assert all(finding.object == "Application cilium" for finding in found)


WANTED = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "facts", "labels": {"a": "1"}},
    "data": {"x": "1"},
}


def own(live: dict | None, wanted: dict = WANTED) -> list:
    return list(find_own_object_drift([OwnObject("ConfigMap apps/facts", wanted, live)]))


def test_own_object_as_applied_shows_nothing_whatever_others_added():
    live = WANTED | {
        "metadata": {"name": "facts", "uid": "7", "labels": {"a": "1", "b": "2"}},
        "data": {"x": "1", "y": "2"},
    }
    assert own(live) == []


@pytest.mark.parametrize(
    ("live", "field", "seen"),
    [
        (None, "existence", "absent"),
        (WANTED | {"data": {"x": "2"}}, "data.x", "2"),
        (WANTED | {"data": {}}, "data.x", "absent"),
        (WANTED | {"metadata": {"name": "facts", "labels": {}}}, "metadata.labels.a", "absent"),
    ],
)
def test_own_object_changed_by_another_manager(live: dict | None, field: str, seen: str):
    [found] = own(live)
    assert (found.field, found.seen, found.layer) == (field, seen, Layer.GITOPS)
    assert "another manager" in found.note


def test_secrets_are_compared_and_never_shown():
    wanted = {"kind": "Secret", "data": {"password": "Y2FuYXJ5"}}
    [found] = own({"kind": "Secret", "data": {"password": "b3RoZXI="}}, wanted)
    assert (found.wanted, found.seen) == ("***", "***")


def test_lists_are_compared_whole():
    assert list(differences({"spec": {"a": [1, 2]}}, {"spec": {"a": [2, 1]}})) == [("spec.a", [1, 2], [2, 1])]
