"""Which labels a kubelet may set, as the API server's NodeRestriction decides."""

import pytest

from infraflux.config.node_labels import kubelet_may_set

ALLOWED = [
    "tier",
    "example.org/tier",
    "infraflux.io/pool",
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
    "gpu.node.kubernetes.io/model",
    "kubelet.kubernetes.io/anything",
    "notkubernetes.io/tier",
]
REFUSED = [
    "node-role.kubernetes.io/worker",
    "node-restriction.kubernetes.io/tier",
    "app.kubernetes.io/component",
    "kubernetes.io/role",
    "k8s.io/role",
    "scheduling.k8s.io/group",
    "topology.kubernetes.io/rack",
]


@pytest.mark.parametrize("key", ALLOWED)
def test_a_kubelet_may(key):
    assert kubelet_may_set(key)


@pytest.mark.parametrize("key", REFUSED)
def test_a_kubelet_may_not(key):
    assert not kubelet_may_set(key)
