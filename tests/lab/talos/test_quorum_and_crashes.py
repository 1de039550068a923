"""Members that come and go, machines that die, a lab that is killed."""

import re

import pytest

from infraflux_lab.contracts import EtcdAlarm

pytestmark = [pytest.mark.lab, pytest.mark.tools]


def member_ids(world, node):
    """Ids by host name."""
    lines = world.talosctl("etcd", "members", node=node).out.splitlines()[1:]
    return {line.split()[2]: line.split()[1] for line in lines}


def power_off(world, *numbers):
    for number in numbers:
        world.run(world.power.stop(f"test/{number}"))


def test_control_planes_join_one_after_the_other(world):
    world.cluster(control_planes=3, workers=1)
    assert set(member_ids(world, 12)) == {"node-11", "node-12", "node-13"}
    assert member_ids(world, 11) == member_ids(world, 13)
    assert world.kubernetes.only.starts == 1
    assert set(world.kubernetes.only.nodes) == {"node-11", "node-12", "node-13", "node-21"}


def test_etcd_status_of_all_members_agrees_on_the_leader(world):
    world.cluster(control_planes=3, workers=0)
    leaders = set()
    for number in (11, 12, 13):
        line = world.talosctl("etcd", "status", node=number).out.splitlines()[1]
        leaders.add(re.findall(r"\b[0-9a-f]{16}\b", line)[1])
    assert len(leaders) == 1


def test_a_joining_control_plane_is_a_learner_until_it_has_caught_up(world):
    world.cluster(control_planes=1, workers=0)
    world.latency.hold("etcd-learner")
    world.boot(12)
    world.apply(12, "controlplane")
    world.until(lambda: "etcd-learner" in world.log.kinds(), "added")
    lines = world.talosctl("etcd", "members", node=11).out.splitlines()
    assert [line.split()[-1] for line in lines if "node-12" in line] == ["true"]
    service = world.talosctl("service", "etcd", node=12).out
    assert "Running" in service
    assert "rpc not supported for learner" in service
    assert not world.ready(12)
    world.latency.release()
    world.until(lambda: world.ready(12), "promoted")
    assert "sync with leader" in str(world.log.events)
    lines = world.talosctl("etcd", "members", node=12).out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["false", "false"]


def test_alarms_and_defragmentation_are_each_members_own(world):
    world.cluster(control_planes=3, workers=0)
    etcd = world.kubernetes.only.etcd
    etcd.raised = [EtcdAlarm(member_id=next(iter(etcd.entries)), kind="NOSPACE")]
    assert "NOSPACE" in world.talosctl("etcd", "alarm", "list", node=12).out
    world.talosctl("etcd", "alarm", "disarm", node=12)
    assert "NOSPACE" not in world.talosctl("etcd", "alarm", "list", node=12).out
    world.talosctl("etcd", "defrag", node=13)
    assert etcd.defragmented == ["test/13"]


def test_forfeit_leadership(world):
    world.cluster(control_planes=3, workers=0)
    before = world.talosctl("etcd", "status", node=11).out
    world.talosctl("etcd", "forfeit-leadership", node=11)
    after = world.talosctl("etcd", "status", node=11).out
    assert re.findall(r"\b[0-9a-f]{16}\b", before)[1] != re.findall(r"\b[0-9a-f]{16}\b", after)[1]


def test_the_api_moves_when_its_home_dies(world):
    world.cluster(control_planes=3, workers=1)
    assert world.kubernetes.only.home == "node-11"
    power_off(world, 11)
    world.until(lambda: world.kubernetes.only.home == "node-12", "another home")
    assert "node-11" in world.kubernetes.only.down
    assert len(member_ids(world, 12)) == 3


def test_without_a_majority_the_api_is_gone_until_it_is_back(world):
    world.cluster(control_planes=3, workers=0)
    power_off(world, 11, 12)
    world.until(lambda: world.kubernetes.only.home is None, "no quorum")
    lost = world.talosctl("etcd", "members", node=13, check=False)
    assert "no leader" in lost.text
    unhealthy = world.talosctl("service", "etcd", node=13).out
    assert "Fail" in unhealthy
    # The member that is left runs and knows no leader.
    assert "no leader" in world.talosctl("etcd", "status", node=13).out
    world.run(world.power.start("test/12"))
    world.until(lambda: world.kubernetes.only.home is not None, "quorum again")
    assert world.kubernetes.only.starts == 3 or world.kubernetes.only.starts == 2


def test_dead_member_is_removed_by_id(world):
    world.cluster(control_planes=3, workers=0)
    dead = member_ids(world, 11)["node-13"]
    world.run(world.power.delete("test/13"))
    world.talosctl("etcd", "remove-member", dead, node=11)
    assert set(member_ids(world, 11)) == {"node-11", "node-12"}
    unknown = world.talosctl("etcd", "remove-member", dead, node=11, check=False)
    assert "member not found" in unknown.text


def test_machine_made_anew_takes_the_place_of_its_dead_member(world):
    world.cluster(control_planes=3, workers=0)
    before = member_ids(world, 11)
    world.run(world.power.delete("test/13"))
    world.boot(13)
    world.apply(13, "controlplane")
    world.until(lambda: world.ready(13), "joined again")
    after = member_ids(world, 11)
    assert set(after) == set(before)
    assert after["node-13"] != before["node-13"]


def test_leave(world):
    world.cluster(control_planes=3, workers=0)
    world.talosctl("etcd", "leave", node=12)
    assert set(member_ids(world, 11)) == {"node-11", "node-13"}
    gone = world.talosctl("etcd", "status", node=12, check=False)
    assert gone.code != 0


def test_killed_lab_comes_back_as_it_was(world):
    world.cluster(control_planes=3, workers=1)
    before = member_ids(world, 11)
    world.kubernetes.only.home = None
    world.restart_lab()
    for number in (11, 12, 13, 21):
        world.until(lambda number=number: world.ready(number), f"{number} ready again")
    assert member_ids(world, 12) == before
    assert world.kubernetes.only.home == "node-11"
    again = world.talosctl("bootstrap", node=11, check=False)
    assert "AlreadyExists" in again.text


def test_killed_between_bootstrap_and_first_start(world):
    """The decision is on disk, the data is not: the start is made up for, and there is one etcd."""
    world.boot(11)
    world.apply(11, "controlplane")
    world.talosctl("bootstrap", node=11)
    world.until(lambda: world.ready(11), "ready")
    (cluster_id,) = world.kubernetes.clusters
    cluster = world.lab._clusters.get(cluster_id)
    cluster.record.pending = "new"
    cluster._save()
    world.kubernetes.clusters.clear()
    world.restart_lab()
    world.until(lambda: world.ready(11), "ready again")
    assert world.kubernetes.only.etcd.data


def test_wiped_disk_boots_into_maintenance(world):
    world.cluster(control_planes=1, workers=1)
    power_off(world, 21)
    world.run(world.power.guest_wipe_disk("test/21", "scsi0"))
    world.run(world.power.start("test/21"))
    world.until(lambda: world.stage(21) == "maintenance", "maintenance")
