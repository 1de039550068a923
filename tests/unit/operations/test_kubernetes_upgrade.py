"""Another Kubernetes: images, then all control planes by talosctl, then kubelets one by one; on where it was killed."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.clock import FakeClock
from fakes.plans import spec_of_five
from fakes.rollouts import node_exit
from fakes.talos import FakeTalos, FakeWorkspace

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Noop, Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.etcd_snapshot import KEPT, snapshots, take_snapshot
from infraflux.operations.kubernetes_upgrade import PlannedVersions, upgrade_kubernetes
from infraflux.operations.plan.kubernetes import images_of
from infraflux.operations.plan.node_decisions import WorldMoved
from infraflux.operations.rollout import Rollout, RolloutStopped

CP1, CP2, CP3 = (f"dev-1-cp-{number}" for number in (1, 2, 3))
W1, W2 = (f"dev-1-worker-{number}" for number in (1, 2))
PLANES, ALL = (CP1, CP2, CP3), (CP1, CP2, CP3, W1, W2)
OLD, NEW = "v1.35.4", "v1.36.3"


@dataclass
class World:
    """A cluster of five at 1.35 that is to run 1.36. A kubelet runs what its node's machine config says."""

    talos: FakeTalos
    workspace: FakeWorkspace
    stuck: set[str] = field(default_factory=set)
    """Nodes whose kubelet does not come back with another version."""
    said: list[str] = field(default_factory=list)

    @property
    def done(self) -> list[str]:
        return self.talos.done

    @property
    def cluster(self) -> TalosCluster:
        return TalosCluster(workspace=cast(Any, self.workspace), clock=FakeClock(), log=self.said.append)

    @property
    def rollout(self) -> Rollout:
        leave = node_exit(self.workspace.spec.policy.rollout, self.done)
        return Rollout(cluster=self.cluster, leave=leave, read_nodes=self.nodes)

    def version(self, name: str) -> str:
        return images_of(self.talos.machine(name).config)["machine.kubelet.image"].rpartition(":")[2]

    def nodes(self) -> list[KubernetesNode]:
        return [KubernetesNode(name, True, (), OLD if name in self.stuck else self.version(name)) for name in ALL]

    def upgrade(self, *, planes: bool = True, kubelets: tuple[str, ...] = ALL) -> dict[str, Outcome]:
        return dict(upgrade_kubernetes(self.rollout, PlannedVersions(planes=planes, kubelets=kubelets)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    spec = spec_of_five(talos={"boot_timeout_s": 30, "health_timeout_s": 30})
    talos = FakeTalos(spec)
    talosctl = Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=talos)
    marker = BootstrapMarker(CP1, "cluster-id-1", confirmed=True)
    workspace = FakeWorkspace(spec, tmp_path / "state", talosctl, marker, with_images=True)
    for machine in talos.machines.values():
        machine.config = re.sub(r"(kube[\w-]*):v1\.36\.3", rf"\1:{OLD}", workspace.config(machine.node))
    talos.members = list(PLANES)
    return World(talos, workspace)


def rolled(name: str) -> list[str]:
    return [f"drain {name}", f"uncordon {name}"]


def test_images_then_control_planes_then_kubelets_one_by_one(world: World) -> None:
    world.talos.leader = CP1
    outcomes = world.upgrade()
    image = f"ghcr.io/siderolabs/kubelet:{NEW}"
    assert sorted(world.done[:5]) == [f"pull {name} {image}" for name in ALL]
    assert world.done[5:8] == [f"control plane {name} {NEW}" for name in PLANES]
    assert world.done[8:] == [line for name in (CP2, CP3, CP1, W1, W2) for line in rolled(name)]
    assert str(outcomes["control plane"]) == f"control plane {OLD} → {NEW}"
    assert {world.version(name) for name in ALL} == {NEW}
    assert all(one.config == world.workspace.config(one.node) for one in world.talos.machines.values())


def test_talosctl_is_told_what_it_would_do_otherwise(world: World) -> None:
    world.upgrade()
    [call] = [words for words in world.talos.argv if words[0] == "upgrade-k8s"]
    assert call[1:8] == [
        "--from",
        "1.35.4",
        "--to",
        "1.36.3",
        "--with-docs=false",
        "--with-examples=false",
        "--upgrade-kubelet=false",
    ]
    assert call[call.index("--apiserver-image") + 1] == "registry.k8s.io/kube-apiserver"
    assert call[call.index("--scheduler-image") + 1] == "registry.k8s.io/kube-scheduler"


def test_where_it_is_gets_told_and_no_object_of_it(world: World) -> None:
    world.upgrade()
    assert [line for line in world.said if line.startswith("upgrade-k8s")] == [
        'upgrade-k8s: updating "kube-apiserver" to version "1.36.3"',
        'upgrade-k8s: < "10.0.0.11": successfully updated',
        "upgrade-k8s: < configured Secret/kube-system/bootstrap-token",
    ]
    assert not any("token:" in line for line in world.said)


def test_a_second_run_does_nothing(world: World) -> None:
    world.upgrade()
    world.done.clear()
    assert world.upgrade() == {"Kubernetes": Noop(f"every node runs Kubernetes {NEW}")}
    assert world.done == []


def test_an_image_that_a_node_cannot_pull_stops_it_before_anything_changed(world: World) -> None:
    world.talos.no_image.add(W2)
    with pytest.raises(Retryable, match=f"{W2} cannot pull .*not found") as stopped:
        world.upgrade()
    assert "nothing was changed" in stopped.value.next_step
    assert not any(line.startswith(("control plane", "drain")) for line in world.done)


def test_what_the_new_version_lacks_is_named_and_no_retry_helps(world: World) -> None:
    world.talos.gone = "10.0.0.11 kubelet pod-infra-container-image"
    with pytest.raises(Permanent, match=r"REMOVED FLAG; .*pod-infra-container-image") as stopped:
        world.upgrade()
    assert stopped.value.error_class is ErrorClass.CONFIG
    assert not stopped.value.retryable


def test_it_goes_on_where_it_was_killed(world: World) -> None:
    world.talos.stops = True
    with pytest.raises(Retryable, match=f"control plane to {NEW} stopped"):
        world.upgrade()
    assert [line for line in world.done if line.startswith("control plane")] == [f"control plane {CP1} {NEW}"]
    world.talos.stops = False
    world.upgrade()
    assert {world.version(name) for name in ALL} == {NEW}


def test_a_kubelet_that_does_not_come_back_stops_the_rest(world: World) -> None:
    world.stuck.add(W1)
    with pytest.raises(
        RolloutStopped, match=rf"stopped at {W1}: .*last seen: it runs kubelet {OLD}.*not touched: {W2}"
    ):
        world.upgrade()
    assert world.version(W2) == OLD
    assert world.done[-1] == f"drain {W1}"


def test_etcd_has_to_be_whole(world: World) -> None:
    world.talos.members.remove(CP3)
    with pytest.raises(Retryable, match=f"{CP3} is no etcd member"):
        world.upgrade()
    assert not any(line.startswith(("control plane", "drain")) for line in world.done)


@pytest.mark.parametrize(
    ("planes", "kubelets", "more"),
    [(False, ALL, f"the control plane ({CP1}, {CP2}, {CP3})"), (True, ALL[:4], f"the kubelet of {W2}")],
)
def test_nothing_more_than_was_planned_is_done(
    world: World, planes: bool, kubelets: tuple[str, ...], more: str
) -> None:
    with pytest.raises(WorldMoved, match=re.escape(more)):
        world.upgrade(planes=planes, kubelets=kubelets)
    assert world.done == []


# Snapshots


def test_a_snapshot_is_private_and_only_the_last_are_kept(world: World) -> None:
    for minute in range(KEPT + 2):
        take_snapshot(world.cluster, now=datetime(2026, 11, 29, 3, minute, tzinfo=UTC))
    found = sorted(snapshots(world.cluster).iterdir())
    assert [path.name for path in found] == [f"etcd-20261129T030{minute}00Z.db" for minute in (2, 3, 4)]
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert snapshots(world.cluster).stat().st_mode & 0o777 == 0o700
    assert found[0].read_text() == f"snapshot of {CP1}"


def test_without_etcd_there_is_no_snapshot(world: World) -> None:
    world.talos.members.clear()
    with pytest.raises(Retryable, match="no control plane lists an etcd"):
        take_snapshot(world.cluster)
    assert not snapshots(world.cluster).exists()
