"""Two more control planes join: real etcd members, learners first."""

import subprocess

import pytest
from labkit.real_talos import KEY, RealProject, all_ready, until

from infraflux.adapters.talos.seen import EtcdSeen, look_at_etcd
from infraflux.config.models import Node
from infraflux.operations.health import judge, look_at_cluster
from infraflux.operations.opening import open_cluster
from infraflux.operations.plan.leaving import Leaver

pytestmark = [pytest.mark.talos_real, pytest.mark.timeout(2400)]

OVERLAY = "clusters/overlays/dev/dev-1.yaml"


def control_planes(project: RealProject) -> list[Node]:
    return list(project.cluster().spec.control_planes)


def etcd_of(project: RealProject, *, asked: list[Node]) -> EtcdSeen | None:
    return look_at_etcd(asked, admin=project.cluster().admin)


@pytest.fixture(scope="module")
def three(deployed: RealProject) -> RealProject:
    """The cluster with three control planes."""

    def grow(overlay):
        [pool] = [one for one in overlay["node_pools"] if one["name"] == "cp"]
        pool["count"] = 3

    deployed.edit(OVERLAY, grow)
    deployed.infraflux("machines", "apply", KEY, "--yes")
    deployed.infraflux("cluster", "bootstrap", KEY, deadline_s=1500)
    return deployed


def test_every_control_plane_is_a_full_member(three):
    etcd = etcd_of(three, asked=control_planes(three))
    assert sorted(member.hostname for member in etcd.members) == sorted(node.name for node in control_planes(three))
    assert not any(member.learner for member in etcd.members)
    until(lambda: all_ready(three), what="all nodes to be Ready")


def test_one_of_three_may_lose_power(three):
    """The two that are left answer for all three, and the virtual IP is on one of them."""
    first, *rest = control_planes(three)
    three.act("stop-vm", vm=str(first.vm_id))
    until(lambda: etcd_of(three, asked=rest), what="etcd of the others")
    assert len(etcd_of(three, asked=rest).members) == 3
    until(lambda: _kubernetes_answers(three), what="the Kubernetes API on the virtual IP")
    problems = judge(three.cluster().spec, look_at_cluster(three.cluster()), require_ready=False)
    assert any(first.name in problem for problem in problems)
    three.switch_on(first.vm_id)
    three.infraflux("cluster", "health", KEY)


def test_a_control_plane_that_leaves_is_wiped_and_joins_as_a_new_member(three):
    """Container mode does not leave etcd when it is reset, so the others take the member off their list."""
    *others, last = control_planes(three)
    before = {member.hostname: member.id for member in etcd_of(three, asked=others).members}
    exit_ = open_cluster(three.root, KEY).node_exit()
    exit_.leave(Leaver(last.name, str(last.address), control_plane=True))
    assert sorted(one.hostname for one in etcd_of(three, asked=others).members) == sorted(one.name for one in others)
    three.switch_on(last.vm_id)
    three.infraflux("cluster", "bootstrap", KEY, deadline_s=1500)
    after = {member.hostname: member.id for member in etcd_of(three, asked=others).members}
    assert set(after) == set(before)
    assert after[last.name] != before[last.name]


def _kubernetes_answers(project: RealProject) -> bool:
    try:
        return len(project.kubectl("get", "nodes")["items"]) == 4
    except subprocess.SubprocessError:
        return False
