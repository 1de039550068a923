"""Talos is upgraded one node at a time, control planes first, and never while etcd is not complete."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.clock import FakeClock
from fakes.rollouts import node_exit
from fakes.specs import make_spec
from fakes.talos import PLAIN, FakeTalos, FakeWorkspace

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.talos.facts import BootstrapMarker, SystemImage
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Noop, Outcome
from infraflux.drift.system_image import describe, runs, wanted_image
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.plan.node_decisions import WorldMoved
from infraflux.operations.plan.upgrades import etcd_problems, plan_upgrade
from infraflux.operations.rollout import Rollout, RolloutStopped
from infraflux.operations.talos_upgrade import upgrade_nodes

NAMES = ("dev-1-cp-1", "dev-1-cp-2", "dev-1-cp-3", "dev-1-worker-1", "dev-1-worker-2")
ISCSI = {"schematic": {"extensions": ["siderolabs/iscsi-tools"]}}


@dataclass
class World:
    talos: FakeTalos
    workspace: FakeWorkspace
    service: list[str] = field(default_factory=list)
    """Who was drained and taken back, in order."""

    @property
    def rollout(self) -> Rollout:
        leave = node_exit(self.workspace.spec.policy.rollout, self.service)
        cluster = TalosCluster(workspace=cast(Any, self.workspace), clock=FakeClock())
        return Rollout(cluster=cluster, leave=leave, read_nodes=self.nodes)

    def nodes(self) -> list[KubernetesNode]:
        return [KubernetesNode(name, True, (), "v1.36.3") for name in NAMES]

    def upgrade(self, planned: set[str] | None = None) -> dict[str, Outcome]:
        return upgrade_nodes(self.rollout, planned)


def world_of(spec: ClusterSpec, tmp_path: Path) -> World:
    """Three control planes and two workers, bootstrapped."""
    talos = FakeTalos(spec)
    talosctl = Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=talos)
    workspace = FakeWorkspace(spec, tmp_path / "state", talosctl, BootstrapMarker("dev-1-cp-1", "id", confirmed=True))
    for machine in talos.machines.values():
        machine.config = workspace.config(machine.node)
    talos.members = list(NAMES[:3])
    return World(talos, workspace)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """They run v1.13.8; v1.13.9 is wanted."""
    made = world_of(make_spec(control_planes=3, workers=2, talos={"boot_timeout_s": 30}), tmp_path)
    for machine in made.talos.machines.values():
        machine.version = "v1.13.8"
    return made


def test_control_planes_come_first_and_one_at_a_time(world: World):
    outcomes = world.upgrade()
    assert tuple(world.talos.upgrades) == NAMES
    assert {one.version for one in world.talos.machines.values()} == {"v1.13.9"}
    assert str(outcomes["dev-1-cp-1"]) == "dev-1-cp-1 Talos v1.13.8 → v1.13.9"


def test_each_node_is_drained_as_the_policy_says_and_taken_back(world: World):
    world.upgrade()
    assert world.service == [f"{what} {name}" for name in NAMES for what in ("drain", "uncordon")]
    assert all("--drain=false" in words for words in world.talos.argv if words[0] == "upgrade")


def test_who_leads_etcd_comes_last_of_the_control_planes(world: World):
    world.talos.leader = "dev-1-cp-1"
    world.upgrade()
    assert world.talos.upgrades == [NAMES[1], NAMES[2], NAMES[0], *NAMES[3:]]


def test_another_schematic_reaches_nodes_of_the_right_version(tmp_path: Path):
    spec = make_spec(control_planes=3, workers=2, image=ISCSI)
    world = world_of(spec, tmp_path)
    outcomes = world.upgrade()
    assert tuple(world.talos.upgrades) == NAMES
    wanted = wanted_image(spec)
    assert {one.schematic for one in world.talos.machines.values()} == {wanted.schematic}
    assert str(outcomes["dev-1-worker-2"]).endswith(f"{PLAIN[:12]} → {wanted.schematic[:12]}, + iscsi-tools")
    call = next(words for words in world.talos.argv if words[0] == "upgrade")
    image = call[call.index("--image") + 1]
    assert image == f"factory.talos.dev/nocloud-installer/{wanted.schematic}:v1.13.9"
    assert isinstance(world.upgrade()["Talos"], Noop)


def test_a_second_run_does_nothing(world: World):
    world.upgrade()
    world.talos.upgrades.clear()
    assert world.upgrade() == {"Talos": Noop(f"5 node(s) run Talos v1.13.9, schematic {PLAIN[:12]}")}
    assert world.talos.upgrades == []


def test_a_node_that_boots_its_old_image_again_stops_the_rest(world: World):
    world.talos.stuck.add("dev-1-cp-2")
    with pytest.raises(
        RolloutStopped,
        match=r"stopped at dev-1-cp-2: .*went back to the image it had.*out of service.*not touched: dev-1-cp-3, ",
    ):
        world.upgrade()
    assert world.talos.upgrades == ["dev-1-cp-1", "dev-1-cp-2"]
    world.talos.stuck.clear()
    world.upgrade()
    assert world.talos.upgrades[2:] == ["dev-1-cp-2", "dev-1-cp-3", "dev-1-worker-1", "dev-1-worker-2"]


def test_no_control_plane_goes_down_while_a_member_is_missing(world: World):
    world.talos.members.remove("dev-1-cp-3")
    with pytest.raises(RolloutStopped, match="dev-1-cp-3 is no etcd member"):
        world.upgrade()
    assert world.talos.upgrades == []
    assert world.service == []


def test_a_lost_reply_is_no_failure(world: World):
    world.talos.lose_reply.add("upgrade")
    world.upgrade()
    assert tuple(world.talos.upgrades) == NAMES


def test_a_lost_reply_of_a_node_that_stays_old_is_told_when_its_time_is_over(world: World):
    world.talos.lose_reply.add("upgrade")
    world.talos.stuck.add("dev-1-cp-1")
    with pytest.raises(RolloutStopped, match=r"within 30 s it did not run Talos v1\.13\.9.*last seen: Talos v1\.13\.8"):
        world.upgrade()


def test_a_refusal_stops_the_rollout_and_is_told(world: World):
    world.talos.machine("dev-1-cp-1").refuse = "rpc error: code = InvalidArgument desc = no such image"
    with pytest.raises(RolloutStopped, match="no such image"):
        world.upgrade()
    assert world.talos.upgrades == []


def test_a_node_that_does_not_answer_is_left_to_the_steps_that_wait_for_it(world: World):
    world.talos.machine("dev-1-worker-1").powered = False
    world.upgrade()
    assert "dev-1-worker-1" not in world.talos.upgrades


def test_nothing_more_than_was_planned_is_done(world: World):
    with pytest.raises(WorldMoved, match=r"dev-1-worker-2 Talos v1\.13\.8 → v1\.13\.9"):
        world.upgrade(planned=set(NAMES[:4]))
    assert world.talos.upgrades == []


def test_a_blank_cluster_is_not_asked(world: World):
    world.workspace.marker = None
    assert isinstance(world.upgrade()["Talos"], Noop)
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
    image = wanted_image(spec)
    running = {node.name: SystemImage(version=before, schematic=image.schematic) for node in spec.nodes}
    if allowed:
        assert len(plan_upgrade(spec, image, running)) == 2
    else:
        with pytest.raises(Permanent, match=before):
            plan_upgrade(spec, image, running)


def image(version: str = "v1.13.9", schematic: str = "a" * 64, *extensions: str) -> SystemImage:
    return SystemImage(version=version, schematic=schematic, extensions=extensions)


BY_ID = SystemImage(version="v1.13.9", schematic="b" * 64, extensions=None)
IMAGES = {
    "the same": (image(), image(), True, ""),
    "another version": (image("v1.13.8"), image(), False, "Talos v1.13.8 → v1.13.9"),
    "an extension more": (
        image(),
        image("v1.13.9", "b" * 64, "iscsi-tools"),
        False,
        "schematic aaaaaaaaaaaa → bbbbbbbbbbbb, + iscsi-tools",
    ),
    "one extension for another": (
        image("v1.13.9", "a" * 64, "gvisor"),
        image("v1.13.9", "b" * 64, "iscsi-tools"),
        False,
        "schematic aaaaaaaaaaaa → bbbbbbbbbbbb, + iscsi-tools, - gvisor",
    ),
    "a kernel argument": (
        image("v1.13.9", "a" * 64, "gvisor"),
        image("v1.13.9", "b" * 64, "gvisor"),
        False,
        "schematic aaaaaaaaaaaa → bbbbbbbbbbbb, other kernel arguments",
    ),
    "an image of no factory, with the extensions": (
        image("v1.13.9", "", "gvisor"),
        image("v1.13.9", "b", "gvisor"),
        True,
        "",
    ),
    "an image of no factory, without them": (image("v1.13.9", ""), image("v1.13.9", "b", "gvisor"), False, "+ gvisor"),
    "a schematic by its id": (image("v1.13.9", "a" * 64, "x"), BY_ID, False, "schematic aaaaaaaaaaaa → bbbbbbbbbbbb"),
    "that schematic": (image("v1.13.9", "b" * 64, "x"), BY_ID, True, ""),
}


@pytest.mark.parametrize(("seen", "wanted", "same", "words"), IMAGES.values(), ids=IMAGES.keys())
def test_images_are_compared_by_what_they_are_made_of(seen: SystemImage, wanted: SystemImage, same: bool, words: str):
    assert runs(seen, wanted) is same
    assert describe(seen, wanted) == words


def test_etcd_problems_name_each_member():
    planes = make_spec(control_planes=3).control_planes
    problems = etcd_problems(planes, {NAMES[0]: False, NAMES[1]: True}, {NAMES[0]: True, NAMES[1]: True})
    assert problems == [
        "dev-1-cp-3 is no etcd member",
        "dev-1-cp-2 is still a learner",
        "etcd on dev-1-cp-3 is not healthy",
    ]
