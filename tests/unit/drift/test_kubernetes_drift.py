"""Each kind of drift of the nodes is found with its class; a cluster as declared shows none."""

import pytest
from fakes.specs import make_spec

from infraflux.adapters.talos.health import KubernetesNode
from infraflux.drift.findings import DriftClass, Layer, Owner
from infraflux.drift.kubernetes import find_node_drift

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
    "not registered": ([CP], "registration", Owner.TALOSCTL),
    "not ready": ([CP, worker(ready=False)], "Ready", Owner.TALOSCTL),
    "other version": ([CP, worker(kubelet_version="v1.36.2")], "kubelet version", Owner.TALOSCTL),
    "other address": ([CP, worker(addresses=("10.9.9.9",))], "address", Owner.TALOSCTL),
    "cordoned": ([CP, worker(cordoned=True)], "schedulable", Owner.NOBODY),
    "stranger": ([CP, WORKER, worker(name="ghost")], "registration", Owner.NOBODY),
}


@pytest.mark.parametrize(("nodes", "field", "owner"), NODES.values(), ids=NODES.keys())
def test_node_drift_is_for_a_person_since_no_deploy_puts_it_right(
    nodes: list[KubernetesNode], field: str, owner: Owner
):
    [found] = find_node_drift(SPEC, nodes)
    assert (found.field, found.owner, found.layer) == (field, owner, Layer.KUBERNETES)
    assert found.drift_class is DriftClass.DANGEROUS
