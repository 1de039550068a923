"""Each kind of drift of the nodes is found with its class; a cluster as declared shows none."""

from dataclasses import replace

import pytest
from fakes.specs import make_spec

from infraflux.adapters.kubernetes.facts import BY_HAND, ROLLING, KubernetesNode, ManifestChange
from infraflux.drift.findings import DriftClass, Layer, Owner
from infraflux.drift.kubernetes import find_manifest_drift, find_node_drift

SPEC = make_spec(control_planes=1, workers=1)
DEDICATED = "node-role.kubernetes.io/control-plane:NoSchedule"
CP = KubernetesNode("dev-1-cp-1", True, ("10.0.0.11",), "v1.36.3", taints={DEDICATED: ""})
WORKER = KubernetesNode("dev-1-worker-1", True, ("10.0.0.21",), "v1.36.3")


def worker(**changes) -> KubernetesNode:
    return KubernetesNode(
        **({"name": WORKER.name, "ready": True, "addresses": WORKER.addresses, "kubelet_version": "v1.36.3"} | changes)
    )


def test_nodes_as_declared_show_nothing():
    assert list(find_node_drift(SPEC, [CP, WORKER])) == []


NODES = {
    "not registered": ([CP], "registration", Owner.TALOSCTL),
    "not ready": ([CP, worker(ready=False)], "Ready", Owner.TALOSCTL),
    "other version": ([CP, worker(kubelet_version="v1.36.2")], "kubelet version", Owner.TALOSCTL),
    "other address": ([CP, worker(addresses=("10.9.9.9",))], "address", Owner.TALOSCTL),
    "cordoned": ([CP, worker(cordoned=True)], "schedulable", Owner.NOBODY),
    "tainted": ([CP, worker(taints={"mine:NoExecute": "x"})], "taint mine:NoExecute", Owner.NOBODY),
    "open to workloads": ([replace(CP, taints={}), WORKER], f"taint {DEDICATED}", Owner.TALOSCTL),
    "stranger": ([CP, WORKER, worker(name="ghost")], "registration", Owner.NOBODY),
}


@pytest.mark.parametrize(("nodes", "field", "owner"), NODES.values(), ids=NODES.keys())
def test_node_drift_is_for_a_person_since_no_deploy_puts_it_right(
    nodes: list[KubernetesNode], field: str, owner: Owner
):
    [found] = find_node_drift(SPEC, nodes)
    assert (found.field, found.owner, found.layer) == (field, owner, Layer.KUBERNETES)
    assert found.drift_class is DriftClass.DANGEROUS


def labelled_spec():
    document = SPEC.model_dump(mode="json")
    pool = next(one for one in document["node_pools"] if one["role"] == "worker")
    pool |= {"labels": {"tier": "edge"}, "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}
    return make_spec(node_pools=document["node_pools"])


AS_DECLARED = {"labels": {"tier": "edge", "more": "x"}, "taints": {"gpu:NoSchedule": "yes"}}
MARKS = {
    "label gone": ({"labels": {}}, "label tier", "edge", "absent"),
    "label changed": ({"labels": {"tier": "core"}}, "label tier", "edge", "core"),
    "taint gone": ({"taints": {}}, "taint gpu:NoSchedule", "yes", "absent"),
    "taint changed": ({"taints": {"gpu:NoSchedule": "no"}}, "taint gpu:NoSchedule", "yes", "no"),
    "taint of an earlier declaration": (
        {"taints": {"gpu:NoSchedule": "yes", "old:NoSchedule": ""}, "owned_taints": frozenset({"old:NoSchedule"})},
        "taint old:NoSchedule",
        "absent",
        "",
    ),
}


@pytest.mark.parametrize(("changes", "field", "wanted", "seen"), MARKS.values(), ids=MARKS.keys())
def test_a_deploy_puts_declared_labels_and_taints_right(changes, field, wanted, seen):
    [found] = find_node_drift(labelled_spec(), [CP, worker(**(AS_DECLARED | changes))])
    assert (found.field, found.wanted, found.seen) == (field, wanted, seen)
    assert (found.drift_class, found.owner) == (DriftClass.REPAIRABLE, Owner.INFRAFLUX)


PASSING = ["node.kubernetes.io/not-ready:NoExecute", "node.cilium.io/agent-not-ready:NoSchedule"]


@pytest.mark.parametrize("taint", PASSING)
def test_labels_of_others_and_what_controllers_put_on_a_node_are_no_drift(taint):
    seen = worker(**(AS_DECLARED | {"taints": AS_DECLARED["taints"] | {taint: ""}}))
    assert list(find_node_drift(labelled_spec(), [CP, seen])) == []


CORDONS = {
    "by a run that was killed": (ROLLING, DriftClass.REPAIRABLE, Owner.INFRAFLUX, "`return node`"),
    "with our own command": (BY_HAND, DriftClass.DANGEROUS, Owner.NOBODY, "infraflux node uncordon"),
    "by somebody": ("", DriftClass.DANGEROUS, Owner.NOBODY, "kubectl uncordon"),
}


@pytest.mark.parametrize(("mark", "drift_class", "owner", "words"), CORDONS.values(), ids=CORDONS)
def test_a_cordoned_node_is_put_right_by_who_left_it(mark: str, drift_class: DriftClass, owner: Owner, words: str):
    [found] = find_node_drift(SPEC, [CP, worker(cordoned=True, out_of_service=mark)])
    assert (found.field, found.drift_class, found.owner) == ("schedulable", drift_class, owner)
    assert words in found.note


def test_what_talos_brings_with_it_is_found_where_the_cluster_is_behind():
    image = "spec.template.spec.containers[0].image"
    behind = ManifestChange(object="Deployment kube-system/coredns", field=image, before="coredns:1", after="coredns:2")
    [found] = find_manifest_drift([behind])
    assert (found.object, found.field, found.wanted, found.seen) == (behind.object, image, "coredns:2", "coredns:1")
    assert found.drift_class is DriftClass.REPAIRABLE
    assert "bootstrap manifests" in found.note
