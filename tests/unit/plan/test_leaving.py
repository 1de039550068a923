"""Who leaves before machines end, what dead ones left behind, and when etcd would not survive it."""

from dataclasses import replace

import pytest
from fakes.plans import Site, actions_of, machine, standing, summary

from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.plan.leaving import leavers

CP1, CP2, CP3, CP4, CP5 = (f"dev-1-cp-{number}" for number in range(1, 6))
W1, W2, W3 = (f"dev-1-worker-{number}" for number in (1, 2, 3))
LEAVES, NOT_READY = "node-leaves", [{"type": "Ready", "status": "Unknown"}]


def extra(site: Site, *names: str, member: bool = False, ready: bool = True) -> Site:
    """Nodes that stand and are declared no more."""
    for name in names:
        site.nodes[name] = {
            "metadata": {"name": name, "labels": {}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}] if ready else NOT_READY},
        }
        site.seen[name] = replace(site.seen[CP1], name=name)
        site.live[name] = site.live[CP1]
        if member and site.members is not None:
            site.members = [*site.members, name]
    return site


def five_become_three() -> Site:
    site = extra(standing(), CP4, CP5, member=True)
    ended = [machine(name, Terraform.DESTROY, machine_address="10.0.0.9") for name in (CP4, CP5)]
    site.machines = summary(*ended)
    return site


def fewer_workers() -> Site:
    site = extra(standing(), W3)
    site.machines = summary(machine(W3, Terraform.DESTROY, machine_address="10.0.0.9"))
    return site


def remade(name: str) -> Site:
    site = standing()
    site.machines = summary(machine(name, Terraform.REPLACE, machine_address="10.0.0.9"))
    return site


def deleted(name: str) -> Site:
    """Somebody deleted the VM: Terraform makes it again, the lists still have the old node."""
    site = standing()
    site.machines = summary(machine(name, Terraform.CREATE))
    site.look(name, state=NodeState.SILENT)
    return site


def joining_without_a_name() -> Site:
    """A member that has not started yet, at an address that nothing declares."""
    site = standing()
    site.members = [*site.members, ""]
    return site


def left_behind() -> Site:
    """An older version destroyed the machines and nothing else."""
    return extra(standing(), CP4, member=True, ready=False)


GOING = {
    "a member that has not started is nobody's business": (joining_without_a_name, []),
    "workers leave before control planes, the last control plane first": (
        five_become_three,
        [("leave", CP5, LEAVES), ("leave", CP4, LEAVES), ("machine", CP4, LEAVES), ("machine", CP5, LEAVES)],
    ),
    "a worker less": (fewer_workers, [("leave", W3, LEAVES), ("machine", W3, LEAVES)]),
    "a control plane is made anew: it leaves, then it joins": (
        lambda: remade(CP3),
        [("leave", CP3, LEAVES), ("machine", CP3, LEAVES), ("config", CP3, "none")],
    ),
    "a deleted control plane: its member and its Node object go first": (
        lambda: deleted(CP3),
        [
            ("etcd member", f"etcd member {CP3}", LEAVES),
            ("node object", f"Node {CP3}", LEAVES),
            ("machine", CP3, "none"),
            ("config", CP3, "none"),
        ],
    ),
    "a deleted worker: its Node object goes, so that its pods run elsewhere": (
        lambda: deleted(W1),
        [("node object", f"Node {W1}", LEAVES), ("machine", W1, "none"), ("config", W1, "none")],
    ),
    "what was left behind is cleared": (
        left_behind,
        [("etcd member", f"etcd member {CP4}", LEAVES), ("node object", f"Node {CP4}", LEAVES)],
    ),
}


@pytest.mark.parametrize(("site", "actions"), GOING.values(), ids=GOING.keys())
def test_who_goes_and_in_which_order(site, actions):
    assert actions_of(site().plan()) == actions


def two_of_three_silent() -> Site:
    site = remade(CP3)
    site.look(CP2, state=NodeState.SILENT)
    return site


def majority_deleted() -> Site:
    site = standing()
    site.machines = summary(machine(CP2, Terraform.CREATE), machine(CP3, Terraform.CREATE))
    return site


REFUSED = {
    "one leaves while another is silent": (two_of_three_silent, "dev-1-cp-3 cannot leave etcd: 1 of 2"),
    "two of three are gone": (majority_deleted, "cannot leave etcd: 1 of 2 remaining members would be alive"),
}


@pytest.mark.parametrize(("site", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_etcd_keeps_its_majority_or_nothing_begins(site, message):
    with pytest.raises(Permanent, match=message) as caught:
        site().plan()
    assert caught.value.error_class is ErrorClass.CONFLICT
    assert "snapshot" in caught.value.next_step


def test_new_control_planes_never_replace_an_etcd_that_is_gone():
    site = standing()
    site.machines = summary(*(machine(name, Terraform.CREATE) for name in (CP1, CP2, CP3)))
    site.members = None
    with pytest.raises(Permanent, match="every control plane is gone, and etcd with them"):
        site.plan()


def test_a_stranger_that_is_ready_is_named_and_left_alone():
    plan = extra(standing(), "somebody").plan()
    assert plan.empty
    assert "somebody is a Ready node of the cluster and is not declared" in plan.warnings[0]


def test_a_machine_that_is_ended_by_name_is_where_the_plan_found_it():
    (one,) = leavers([machine(W1, Terraform.DESTROY, machine_address="10.0.0.9")])
    assert (one.name, one.address, one.control_plane) == (W1, "10.0.0.9", False)
