"""Executors do what their actions say; where the world moved since the plan was made they refuse to do more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.clock import FakeClock
from fakes.plans import node_object, spec_of_five, summary
from fakes.talos import FakeMachine, FakeTalos, FakeWorkspace

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.talos.facts import BootstrapMarker, SystemImage
from infraflux.adapters.talos.seen import look_at_etcd
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations import execution, node_labels
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan.actions import ConfigureNode
from infraflux.operations.plan.decide import plan_cluster
from infraflux.operations.plan.node_decisions import WorldMoved
from infraflux.operations.plan.observed import Observed, PlatformSeen, Wanted
from infraflux.operations.planning import Planned
from infraflux.operations.rollout import Rollout, RolloutStopped

CP1, CP2, CP3 = "dev-1-cp-1", "dev-1-cp-2", "dev-1-cp-3"
W1, W2 = "dev-1-worker-1", "dev-1-worker-2"
ROLE = "node-role.kubernetes.io/edge"
SYSCTL = "  sysctls: {vm.swappiness: '1'}\n"
ARGUMENT = "  kubelet: {extraArgs: {v: '4'}}\n"


class FakeNodes:
    """Node objects behind the Kubernetes API."""

    def __init__(self, nodes: dict[str, dict[str, Any]]) -> None:
        self.nodes = nodes
        self.merged: list[str] = []

    def list_objects(self, _api_version: str, _kind: str) -> list[dict[str, Any]]:
        return list(self.nodes.values())

    def merge(self, ref: Any, _body: Any) -> None:
        self.merged.append(ref.name)

    def close(self) -> None:
        pass


@dataclass
class World:
    """A cluster of five that stands, as declared."""

    talos: FakeTalos
    workspace: FakeWorkspace
    kubernetes: FakeNodes
    in_service: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    reboots: set[str] = field(default_factory=set)

    @property
    def cluster(self) -> TalosCluster:
        return TalosCluster(workspace=cast(Any, self.workspace), clock=FakeClock())

    @property
    def opened(self) -> OpenCluster:
        spec = self.workspace.spec
        rollout = Rollout(cluster=self.cluster, leave=cast(Any, self.service), read_nodes=self.read_nodes)
        known = {"spec": spec, "key": spec.key, "talos": self.cluster, "rollout": lambda: rollout}
        return cast(OpenCluster, SimpleNamespace(**known))

    @property
    def service(self) -> Any:
        """Drains and takes back into service; only notes it."""
        drain = lambda name: self.in_service.append(f"drain {name}")  # noqa: E731
        take_back = lambda name: self.in_service.append(f"uncordon {name}")  # noqa: E731
        return SimpleNamespace(rules=self.workspace.spec.policy.rollout, drain=drain, take_back=take_back)

    def read_nodes(self) -> list[KubernetesNode]:
        """A node is Ready unless it is told not to become so."""
        return [
            KubernetesNode(
                name=name,
                ready=name not in self.broken | self.bare,
                addresses=(),
                kubelet_version="",
                waits_for_cni=name in self.bare,
            )
            for name in self.kubernetes.nodes
        ]

    def plan(self) -> Planned:
        """As it is now."""
        spec, cluster = self.workspace.spec, self.cluster
        nodes = dict(self.kubernetes.nodes)
        seen = Observed(
            shared=summary(),
            machines=summary(),
            has_secrets=self.workspace.has_bundle,
            marker=self.workspace.marker,
            nodes={node.name: cluster.look(node) for node in spec.nodes},
            images={one.node.name: _image(one) for one in self.talos.machines.values()},
            etcd=look_at_etcd(spec.control_planes, admin=cluster.admin),
            platform=PlatformSeen(installs={}, handoff={}, nodes=nodes),
            reboots=dict.fromkeys(self.reboots, True),
        )
        configs = self.workspace.configs.by_node
        wanted = Wanted(configs=configs, fingerprints=dict.fromkeys(configs, "f"), components={}, handoff=())
        return Planned(plan=plan_cluster(spec, wanted, seen), machines=cast(Any, None), seen=seen)

    def configured(self, name: str, lines: str) -> None:
        """Let one node run with more than its wanted configuration."""
        machine = self.talos.machine(name)
        machine.config = machine.config.replace("machine:\n", f"machine:\n{lines}")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    spec = spec_of_five(talos={"boot_timeout_s": 30})
    cp, worker = spec.node_pools
    spec = spec_of_five(talos={"boot_timeout_s": 30}, node_pools=[cp, worker.model_copy(update={"labels": {ROLE: ""}})])
    talos = FakeTalos(spec)
    talosctl = Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=talos)
    workspace = FakeWorkspace(spec, tmp_path / "state", talosctl, BootstrapMarker(CP1, "cluster-id-1", confirmed=True))
    for machine in talos.machines.values():
        machine.config = workspace.config(machine.node)
    talos.members = [node.name for node in spec.control_planes]
    made = World(talos, workspace, FakeNodes({node.name: node_object(node) for node in spec.nodes}))
    reader = SimpleNamespace(from_kubeconfig=lambda *_words, **_more: made.kubernetes)
    monkeypatch.setattr(node_labels, "Kubernetes", reader)
    return made


def _image(machine: FakeMachine) -> SystemImage:
    return SystemImage(version=machine.version, schematic=machine.schematic, extensions=machine.extensions)


STEPS: dict[str, Callable[[OpenCluster, Planned], Any]] = {
    "Talos": execution.upgrade_talos,
    "first": execution.configure_first,
    "etcd": execution.bootstrap_etcd,
    "join": execution.join_nodes,
    "update": execution.update_nodes,
    "labels": execution.label_nodes,
}


def run_all(world: World, planned: Planned) -> list[Outcome]:
    """Every Talos step of a deploy, in its order."""
    execution.check_secrets(world.opened, planned)
    found: list[Outcome] = []
    for step in STEPS.values():
        result = step(world.opened, planned)
        found += result.values() if isinstance(result, dict) else [result]
    return found


def test_a_cluster_as_declared_has_an_empty_plan_and_no_call_that_changes(world: World):
    planned = world.plan()
    assert planned.plan.empty, str(planned.plan)
    world.talos.argv.clear()
    assert all(isinstance(one, Noop) for one in run_all(world, planned))
    assert world.talos.argv == []


def test_what_was_planned_is_done(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    assert len(planned.plan.of(ConfigureNode)) == 5
    run_all(world, planned)
    assert sorted(world.talos.pushed) == sorted(node.name for node in world.workspace.spec.nodes)
    assert world.plan().plan.empty


def test_what_somebody_did_meanwhile_is_not_done_again(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.talos.machine(W1).config = world.workspace.config(world.talos.machine(W1).node)
    run_all(world, planned)
    assert W1 not in world.talos.pushed
    assert world.plan().plan.empty


# Machine configs


def test_a_field_more_than_was_planned_stops_before_the_node_is_touched(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.configured(CP1, ARGUMENT)
    with pytest.raises(
        RolloutStopped, match=r"cp-1 differs in more than was planned: v1alpha1.machine.kubelet"
    ) as caught:
        execution.update_nodes(world.opened, planned)
    assert world.talos.pushed == []
    assert caught.value.error_class is ErrorClass.CONFLICT
    assert "shows a new plan" in caught.value.next_step


def test_another_wanted_value_than_was_planned_stops(world: World):
    """The opened cluster is frozen, so this takes a defect; it is held all the same."""
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.workspace.added = SYSCTL.replace("1", "2")
    with pytest.raises(RolloutStopped, match=r"more than was planned: v1alpha1\.machine\.sysctls"):
        execution.update_nodes(world.opened, planned)
    assert world.talos.pushed == []


def test_a_node_that_was_wiped_meanwhile_is_not_configured_anew(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.talos.machine(CP1).config = ""
    with pytest.raises(RolloutStopped, match=r"stopped at dev-1-cp-1: .*etcd on dev-1-cp-1 is not healthy"):
        execution.update_nodes(world.opened, planned)
    assert world.talos.pushed == []


def test_the_first_node_that_fails_stops_the_rest(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.configured(CP3, ARGUMENT)
    with pytest.raises(RolloutStopped, match=r"stopped at dev-1-cp-3: .*more than was planned.*not touched") as caught:
        execution.update_nodes(world.opened, planned)
    assert (caught.value.error_class, caught.value.retryable) == (ErrorClass.CONFLICT, False)
    assert W1 in caught.value.message
    assert world.talos.pushed == [CP1, CP2]


def test_a_control_plane_that_does_not_come_back_ready_stops_the_rest(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.broken = {CP1}
    with pytest.raises(RolloutStopped, match=r"stopped at dev-1-cp-1: .*NotReady.*not touched: dev-1-cp-2"):
        execution.update_nodes(world.opened, planned)
    assert world.talos.pushed == [CP1]


def test_nodes_that_wait_for_a_cni_are_changed_while_they_do(world: World):
    """A deploy that died before Cilium was installed, run again with another configuration: Cilium comes later."""
    world.workspace.added = SYSCTL
    world.bare = {node.name for node in world.workspace.spec.nodes}
    execution.update_nodes(world.opened, world.plan())
    assert world.talos.pushed == [node.name for node in world.workspace.spec.nodes]


def test_no_control_plane_is_touched_while_etcd_is_incomplete(world: World):
    world.workspace.added = SYSCTL
    planned = world.plan()
    world.talos.members.remove(CP3)
    with pytest.raises(RolloutStopped, match=r"etcd is incomplete; .*dev-1-cp-3 is no etcd member"):
        execution.update_nodes(world.opened, planned)
    assert world.talos.pushed == []


def test_a_drained_node_that_does_not_come_back_is_said_to_be_out_of_service(world: World):
    world.workspace.added = SYSCTL
    world.reboots = world.broken = {W1}
    with pytest.raises(RolloutStopped, match=f"stopped at {W1}: .*{W1} is out of service.*not touched: {W2}"):
        execution.update_nodes(world.opened, world.plan())
    assert world.in_service == [f"drain {W1}"]


def test_a_node_that_restarts_is_drained_before_and_taken_back_after(world: World):
    world.workspace.added = SYSCTL
    world.reboots = {W1}
    execution.update_nodes(world.opened, world.plan())
    assert world.in_service == [f"drain {W1}", f"uncordon {W1}"]


SILENT_THEN: dict[str, tuple[str, type | None]] = {
    "it waits for its first config": ("wiped", None),
    "it has its config": ("as it was", None),
    "it runs with another one": ("another", Permanent),
}


@pytest.mark.parametrize(("then", "refusal"), SILENT_THEN.values(), ids=SILENT_THEN.keys())
def test_a_node_that_was_silent_gets_its_first_config_or_nothing(world: World, then: str, refusal: type | None):
    machine = world.talos.machine(W1)
    machine.powered = False
    planned = world.plan()
    machine.powered = True
    if then == "wiped":
        machine.config = ""
    if then == "another":
        world.configured(W1, ARGUMENT)
    if refusal:
        with pytest.raises(refusal, match="worker-1 differs in more than was planned"):
            execution.join_nodes(world.opened, planned)
    else:
        execution.join_nodes(world.opened, planned)
    assert world.talos.pushed == ([W1] if then == "wiped" else [])


# etcd, versions, labels, secrets


def test_an_etcd_that_went_away_is_not_bootstrapped_without_a_plan_for_it(world: World):
    world.workspace.marker = None  # the state directory was lost, so nothing but the plan forbids it
    planned = world.plan()
    world.talos.members.clear()
    with pytest.raises(WorldMoved, match="etcd is gone, and the plan does not bootstrap it"):
        execution.bootstrap_etcd(world.opened, planned)
    assert world.talos.bootstraps == []


def test_a_planned_bootstrap_is_done_once(world: World):
    world.workspace.marker = None
    world.talos.members.clear()
    planned = world.plan()
    assert isinstance(execution.bootstrap_etcd(world.opened, planned), Done)
    assert isinstance(execution.bootstrap_etcd(world.opened, planned), Noop)
    assert world.talos.bootstraps == [CP1]


def test_a_node_that_runs_an_old_talos_since_is_not_upgraded(world: World):
    world.talos.machine(CP3).version = "v1.13.8"
    planned = world.plan()
    world.talos.machine(W1).version = "v1.13.8"
    with pytest.raises(WorldMoved, match=r"an upgrade that the plan does not hold: dev-1-worker-1 Talos v1\.13\.8"):
        execution.upgrade_talos(world.opened, planned)
    assert world.talos.upgrades == []


def test_the_planned_upgrade_is_done(world: World):
    world.talos.machine(CP3).version = "v1.13.8"
    execution.upgrade_talos(world.opened, world.plan())
    assert world.talos.upgrades == [CP3]


def unlabel(world: World, name: str) -> None:
    world.kubernetes.nodes[name]["metadata"]["labels"] = {}


def test_a_node_that_lost_its_label_since_is_not_labelled(world: World):
    unlabel(world, W1)
    planned = world.plan()
    unlabel(world, W2)
    with pytest.raises(WorldMoved, match=r"worker-2: .*node-role.kubernetes.io/edge is not in the plan"):
        execution.label_nodes(world.opened, planned)
    assert W2 not in world.kubernetes.merged


def test_the_planned_label_is_written(world: World):
    for name in (W1, W2):
        world.kubernetes.nodes[name]["metadata"]["annotations"] = {
            "infraflux.io/node-marks": f'{{"labels": ["{ROLE}"], "taints": []}}'
        }
    unlabel(world, W1)
    execution.label_nodes(world.opened, world.plan())
    assert world.kubernetes.merged == [W1]


def test_secrets_that_went_away_are_not_made_anew_without_a_plan_for_them(world: World):
    planned = world.plan()
    world.workspace.has_bundle = False
    with pytest.raises(WorldMoved, match="the Talos secrets bundle is gone since the plan was made"):
        execution.check_secrets(world.opened, planned)


def test_secrets_that_the_plan_makes_may_be_missing(world: World):
    world.workspace.has_bundle = False
    execution.check_secrets(world.opened, world.plan())
