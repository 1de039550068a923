"""Bootstrap converges from any state, exactly one etcd is ever made, and the wrong machine gets nothing."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.specs import make_spec
from fakes.talos import FakeTalos, FakeWorkspace

from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.errors import Permanent, Retryable
from infraflux.core.outcomes import Done, Noop
from infraflux.operations.bootstrap import NodesFailed, TalosCluster
from infraflux.operations.teardown import teardown


@dataclass
class World:
    talos: FakeTalos
    workspace: FakeWorkspace
    clock: FakeClock
    cluster: TalosCluster

    def converge(self) -> None:
        self.cluster.configure_first_control_plane()
        self.cluster.bootstrap_etcd()
        self.cluster.join_nodes()


def make_world(tmp_path: Path, *, control_planes: int = 3, workers: int = 2, **talos_settings: int) -> World:
    settings = {"boot_timeout_s": 30, **talos_settings}
    spec = make_spec(control_planes=control_planes, workers=workers, talos=settings)
    talos = FakeTalos(spec)
    talosctl = Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=talos)
    workspace = FakeWorkspace(spec, tmp_path / "state", talosctl)
    clock = FakeClock()
    return World(talos, workspace, clock, TalosCluster(workspace=workspace, clock=clock))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_blank_machines_become_one_cluster(world: World):
    world.converge()
    assert world.talos.members == ["dev-1-cp-1", "dev-1-cp-2", "dev-1-cp-3"]
    assert world.talos.bootstraps == ["dev-1-cp-1"]
    assert sorted(world.talos.pushed) == sorted(node.name for node in world.cluster.spec.nodes)
    assert world.workspace.marker == BootstrapMarker("dev-1-cp-1", "cluster-id-1", confirmed=True)


def test_second_run_does_nothing_and_says_why(world: World):
    world.converge()
    world.talos.pushed.clear()
    assert isinstance(world.cluster.configure_first_control_plane(), Noop)
    assert str(world.cluster.bootstrap_etcd()).startswith("nothing to do: etcd runs already")
    assert all(isinstance(outcome, Noop) for outcome in world.cluster.join_nodes().values())
    assert world.talos.pushed == []
    assert world.talos.bootstraps == ["dev-1-cp-1"]


@pytest.mark.parametrize("command", ["apply-config", "bootstrap", "get", "etcd"])
def test_killed_after_each_kind_of_call_and_run_again_converges(tmp_path: Path, command: str):
    """The work was done, the run died before it knew: for the first call of that kind, then the second, and so on."""
    for nth in range(1, 6):
        world = make_world(tmp_path / str(nth))
        left = nth

        def kill(words: list[str]) -> bool:
            nonlocal left
            left -= words[0] == command
            return words[0] == command and left == 0

        world.talos.kill_at = kill
        try:
            world.converge()
        except KeyboardInterrupt:
            world.talos.kill_at = lambda words: False
            world.converge()
        assert world.talos.bootstraps == ["dev-1-cp-1"]
        assert len(world.talos.members) == 3


@pytest.mark.parametrize("command", ["apply-config", "bootstrap"])
def test_a_lost_reply_is_found_out_by_looking(world: World, command: str):
    world.talos.lose_reply.add(command)
    world.converge()
    assert world.talos.bootstraps == ["dev-1-cp-1"]
    assert sorted(world.talos.pushed) == sorted(node.name for node in world.cluster.spec.nodes)


def test_wrong_machine_gets_no_configuration(world: World):
    world.talos.machine("dev-1-cp-1").uuid = "00000000-0000-0000-0000-00000000beef"
    with pytest.raises(Permanent, match=r"should be dev-1-cp-1 .*UUID .*beef answers there.*nothing was pushed"):
        world.cluster.configure_first_control_plane()
    assert world.talos.pushed == []


def test_swapped_card_gets_no_configuration(world: World):
    world.talos.machine("dev-1-cp-1").mac = "bc:24:11:00:00:01"
    with pytest.raises(Permanent, match="MAC bc:24:11:00:00:01 answers there"):
        world.cluster.configure_first_control_plane()
    assert world.talos.pushed == []


def test_machine_of_another_cluster_is_left_alone(world: World):
    world.talos.machine("dev-1-cp-1").locked = True
    with pytest.raises(Permanent, match="did not make"):
        world.cluster.configure_first_control_plane()
    assert world.talos.pushed == []


def test_refused_configuration_names_the_node_and_is_not_repeated(world: World):
    world.talos.machine("dev-1-cp-1").refuse = "rpc error: code = InvalidArgument desc = unknown field: machnie"
    with pytest.raises(Permanent, match=r"dev-1-cp-1 refused its machine config: .*unknown field: machnie"):
        world.cluster.configure_first_control_plane()
    assert sum(words[0] == "apply-config" for words in world.talos.argv) == 1


def test_node_that_never_boots_is_named_and_the_others_go_on(tmp_path: Path):
    # One after the other: they share a clock, and the one that waits would use up the other's time.
    world = make_world(tmp_path, worker_parallelism=1)
    world.talos.machine("dev-1-cp-2").powered = False
    world.talos.machine("dev-1-worker-1").powered = False
    world.cluster.configure_first_control_plane()
    world.cluster.bootstrap_etcd()
    with pytest.raises(NodesFailed, match=r"2 of 5 nodes.*dev-1-cp-2.*connection refused.*dev-1-worker-1") as caught:
        world.cluster.join_nodes()
    assert caught.value.retryable
    assert world.talos.members == ["dev-1-cp-1", "dev-1-cp-3"]
    assert "dev-1-worker-2" in world.talos.pushed


def test_node_that_boots_late_is_waited_for(world: World):
    machine = world.talos.machine("dev-1-cp-1")
    machine.powered = False
    world.clock.on_sleep = lambda now: setattr(machine, "powered", now >= 20)
    assert world.cluster.configure_first_control_plane() == Done("dev-1-cp-1 configured")


def test_changed_configuration_is_applied_with_the_fields_named(world: World):
    world.converge()
    machine = world.talos.machine("dev-1-worker-1")
    machine.config = machine.config.replace("worker\n", "worker\n  sysctls: {vm.swappiness: '1'}\n")
    outcome = world.cluster.join_nodes()["dev-1-worker-1"]
    assert str(outcome) == "dev-1-worker-1 updated: v1alpha1.machine.sysctls.vm.swappiness: 1 -> (absent)"


def test_lost_etcd_is_never_bootstrapped_again(world: World):
    world.converge()
    world.talos.members.clear()
    with pytest.raises(Permanent, match="a second bootstrap would start an empty cluster"):
        world.cluster.bootstrap_etcd()
    assert world.talos.bootstraps == ["dev-1-cp-1"]


def test_wiped_first_control_plane_joins_the_others(world: World):
    world.converge()
    world.talos.machine("dev-1-cp-1").config = ""
    world.talos.members.remove("dev-1-cp-1")
    world.converge()
    assert world.talos.bootstraps == ["dev-1-cp-1"]
    assert sorted(world.talos.members) == ["dev-1-cp-1", "dev-1-cp-2", "dev-1-cp-3"]


def test_lost_state_directory_does_not_bootstrap_again(world: World):
    world.converge()
    world.workspace.marker = None
    world.converge()
    assert world.talos.bootstraps == ["dev-1-cp-1"]
    assert world.workspace.marker is not None


def test_member_that_never_joins_is_named(world: World):
    world.talos.joins = False
    world.cluster.configure_first_control_plane()
    world.cluster.bootstrap_etcd()
    with pytest.raises(NodesFailed, match="dev-1-cp-2 did not become a full etcd member"):
        world.cluster.join_nodes()


def test_foreign_cluster_id_stops_before_the_bootstrap(world: World):
    world.cluster.configure_first_control_plane()
    world.workspace.cluster_id = "cluster-id-2"
    with pytest.raises(Permanent, match="cluster with id cluster-id-1, ours is cluster-id-2"):
        world.cluster.bootstrap_etcd()
    assert world.talos.bootstraps == []


def test_teardown_keeps_quorum_to_the_end(world: World):
    world.converge()
    outcomes = teardown(world.cluster)
    assert list(outcomes) == ["dev-1-worker-1", "dev-1-worker-2", "dev-1-cp-3", "dev-1-cp-2", "dev-1-cp-1"]
    assert world.talos.members == ["dev-1-cp-1"]  # the last member cannot leave; it goes with its machine
    assert all(isinstance(outcome, Noop) for outcome in teardown(world.cluster).values())


def test_teardown_of_what_was_never_made_asks_nobody(world: World):
    world.workspace.untouched = True
    outcomes = teardown(world.cluster)
    assert list(outcomes) == ["nodes"]
    assert "no secrets were ever made" in str(outcomes["nodes"])


def test_silent_first_control_plane_is_retryable_with_what_was_seen(world: World):
    world.talos.machine("dev-1-cp-1").powered = False
    with pytest.raises(Retryable, match=r"dev-1-cp-1 \(10.0.0.11\) did not come up within 30 s.*connection refused"):
        world.cluster.configure_first_control_plane()
