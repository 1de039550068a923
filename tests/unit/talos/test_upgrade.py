"""Talos is upgraded one node at a time, control planes first, and never while etcd is not complete."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.specs import make_spec
from fakes.talos import FakeTalos, FakeWorkspace

from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.errors import Permanent, Retryable
from infraflux.core.outcomes import Noop
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.plan.upgrades import etcd_problems, plan_upgrade
from infraflux.operations.talos_upgrade import upgrade_nodes

NAMES = ("dev-1-cp-1", "dev-1-cp-2", "dev-1-cp-3", "dev-1-worker-1", "dev-1-worker-2")


@dataclass
class World:
    talos: FakeTalos
    workspace: FakeWorkspace
    clock: FakeClock
    cluster: TalosCluster


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three control planes and two workers that run v1.13.8; v1.13.9 is wanted."""
    spec = make_spec(control_planes=3, workers=2, talos={"boot_timeout_s": 30})
    talos = FakeTalos(spec)
    talosctl = Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=talos)
    workspace = FakeWorkspace(spec, tmp_path / "state", talosctl, BootstrapMarker("dev-1-cp-1", "id", confirmed=True))
    clock = FakeClock()
    cluster = TalosCluster(workspace=workspace, clock=clock)
    for machine in talos.machines.values():
        machine.version, machine.config = "v1.13.8", workspace.config(machine.node)
    talos.members = list(NAMES[:3])
    return World(talos, workspace, clock, cluster)


def test_control_planes_come_first_and_one_at_a_time(world: World):
    outcomes = upgrade_nodes(world.cluster)
    assert tuple(world.talos.upgrades) == NAMES
    assert {one.version for one in world.talos.machines.values()} == {"v1.13.9"}
    assert str(outcomes["dev-1-cp-1"]) == "dev-1-cp-1 v1.13.8 -> v1.13.9"


def test_the_image_is_that_of_the_wanted_configuration(world: World):
    upgrade_nodes(world.cluster)
    call = next(words for words in world.talos.argv if words[0] == "upgrade")
    assert call[call.index("--image") + 1] == "factory.talos.dev/nocloud-installer/x:v1.13.9"


def test_a_control_plane_that_stays_up_passes_the_call_on(world: World):
    upgrade_nodes(world.cluster)
    first = next(words for words in world.talos.argv if words[0] == "upgrade")
    assert first[first.index("--nodes") + 1] != first[first.index("--endpoints") + 1]


def test_a_second_run_does_nothing(world: World):
    upgrade_nodes(world.cluster)
    world.talos.upgrades.clear()
    assert upgrade_nodes(world.cluster) == {"Talos": Noop("5 node(s) run v1.13.9")}
    assert world.talos.upgrades == []


def test_a_run_goes_on_where_the_last_one_stopped(world: World):
    world.talos.stuck.add("dev-1-cp-2")
    with pytest.raises(Retryable, match=r"stopped at dev-1-cp-2 v1.13.8 -> v1.13.9.*last seen: v1.13.8"):
        upgrade_nodes(world.cluster)
    assert world.talos.upgrades == ["dev-1-cp-1", "dev-1-cp-2"]
    world.talos.stuck.clear()
    upgrade_nodes(world.cluster)
    assert world.talos.upgrades[2:] == ["dev-1-cp-2", "dev-1-cp-3", "dev-1-worker-1", "dev-1-worker-2"]


def test_no_control_plane_goes_down_while_a_member_is_missing(world: World):
    world.talos.members.remove("dev-1-cp-3")
    with pytest.raises(Retryable, match="dev-1-cp-3 is no etcd member"):
        upgrade_nodes(world.cluster)
    assert world.talos.upgrades == []


def test_a_lost_reply_is_no_failure(world: World):
    world.talos.lose_reply.add("upgrade")
    upgrade_nodes(world.cluster)
    assert tuple(world.talos.upgrades) == NAMES


def test_a_refusal_stops_the_rollout_and_is_told(world: World):
    world.talos.machine("dev-1-cp-1").refuse = "rpc error: code = InvalidArgument desc = no such image"
    with pytest.raises(Retryable, match="no such image"):
        upgrade_nodes(world.cluster)
    assert world.talos.upgrades == []


def test_a_node_that_does_not_answer_is_left_to_the_steps_that_wait_for_it(world: World):
    world.talos.machine("dev-1-worker-1").powered = False
    upgrade_nodes(world.cluster)
    assert "dev-1-worker-1" not in world.talos.upgrades


def test_a_blank_cluster_is_not_asked(world: World):
    world.workspace.marker = None
    assert isinstance(upgrade_nodes(world.cluster)["Talos"], Noop)
    assert world.talos.argv == []


@pytest.mark.parametrize(
    ("before", "wanted", "allowed"),
    [
        ("v1.13.8", "v1.13.9", True),
        ("v1.13.9", "v1.13.8", True),
        ("v1.12.4", "v1.13.9", True),
        ("v1.14.0", "v1.13.9", True),
        ("v1.11.0", "v1.13.9", False),
        ("v1.15.0", "v1.13.9", False),
    ],
)
def test_minors_go_one_at_a_time(before: str, wanted: str, allowed: bool):
    spec = make_spec(versions={"talos": wanted, "kubernetes": "v1.36.3"})
    running = {node.name: before for node in spec.nodes}
    if allowed:
        assert len(plan_upgrade(spec, running)) == 2
    else:
        with pytest.raises(Permanent, match=before):
            plan_upgrade(spec, running)


def test_etcd_problems_name_each_member():
    planes = make_spec(control_planes=3).control_planes
    problems = etcd_problems(planes, {NAMES[0]: False, NAMES[1]: True}, {NAMES[0]: True, NAMES[1]: True})
    assert problems == [
        "dev-1-cp-3 is no etcd member",
        "dev-1-cp-2 is still a learner",
        "etcd on dev-1-cp-3 is not healthy",
    ]
