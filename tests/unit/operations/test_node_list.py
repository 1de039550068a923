"""A node at a glance: what each layer says of it, and what it says where a layer does not answer."""

from dataclasses import replace

import pytest
from fakes.plans import spec_of_five

from infraflux.adapters.kubernetes.facts import BY_HAND, KubernetesNode
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import hardware_of
from infraflux.adapters.talos.facts import EtcdMember, EtcdSeen, NodeSeen, NodeState
from infraflux.operations.node_list import NodesSeen, node_row

SPEC = spec_of_five()
CP, WORKER = SPEC.control_planes[0], SPEC.workers[0]
GUEST = Guest(vm_id=WORKER.vm_id, name=WORKER.name, host="pve-9", running=True)
LIVE = KubernetesNode(WORKER.name, True, (), "v1.36.3")
TALOS = NodeSeen(name=WORKER.name, address="10.0.0.21", state=NodeState.RUNNING, version="v1.13.9")
SEEN = NodesSeen(
    guests={WORKER.vm_id: GUEST},
    hardware={WORKER.vm_id: hardware_of([{"key": "memory", "value": "4096"}])},
    talos={WORKER.name: TALOS},
    etcd=EtcdSeen((EtcdMember("1", CP.name, (), False),), CP.name),
    kubernetes={WORKER.name: LIVE},
)
WAITING = {WORKER.vm_id: hardware_of([{"key": "memory", "value": "4096", "pending": "8192"}])}
CASES = {
    "as declared": (SEEN, ("pve-9", "running", "v1.13.9", "Ready v1.36.3", ()), True),
    "its machine waits": (
        replace(SEEN, hardware=WAITING),
        ("pve-9", "running", "v1.13.9", "Ready v1.36.3", ("memory: 4096 → 8192 MiB",)),
        False,
    ),
    "out of service by hand": (
        replace(SEEN, kubernetes={WORKER.name: replace(LIVE, cordoned=True, out_of_service=BY_HAND)}),
        ("pve-9", "running", "v1.13.9", "Ready v1.36.3 out of service (by-hand)", ()),
        False,
    ),
    "off": (
        replace(SEEN, guests={WORKER.vm_id: replace(GUEST, running=False)}, hardware={}),
        ("pve-9", "off", "v1.13.9", "Ready v1.36.3", ()),
        False,
    ),
    "no machine": (
        replace(SEEN, guests={}, hardware={}, kubernetes={}),
        (WORKER.host, "none", "v1.13.9", "not registered", ()),
        False,
    ),
    "nobody answers": (NodesSeen(), (WORKER.host, "no answer", "-", "-", ()), False),
}


@pytest.mark.parametrize(("seen", "expected", "healthy"), CASES.values(), ids=CASES)
def test_a_node(seen: NodesSeen, expected: tuple[object, ...], healthy: bool) -> None:
    row = node_row(WORKER, seen)
    assert (row.host, row.machine, row.talos, row.kubernetes, row.waiting) == expected
    assert row.healthy is healthy


def test_a_control_plane_says_what_etcd_counts_it_as() -> None:
    learner = EtcdSeen((EtcdMember("1", CP.name, (), True),), CP.name)
    assert [node_row(CP, replace(SEEN, etcd=one)).etcd for one in (SEEN.etcd, learner, None)] == [
        "member",
        "learner",
        "-",
    ]
    assert node_row(WORKER, SEEN).etcd == ""
