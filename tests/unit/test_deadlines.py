"""Every deadline that passes says what was seen last."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.specs import make_spec
from fakes.talos import FakeTalos, FakeWorkspace

from infraflux.adapters.argocd.client import ArgoCd
from infraflux.adapters.kubernetes.client import KindMissing
from infraflux.adapters.kubernetes.workloads import RELEASE
from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError, Retryable
from infraflux.operations import health, node_labels
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.credentials import ensure_kubeconfig
from infraflux.operations.health import wait_healthy
from infraflux.operations.installer import Bundle, Installer
from infraflux.operations.node_labels import reconcile_labels
from infraflux.operations.rollout import Rollout
from infraflux.operations.talos_upgrade import upgrade_nodes
from infraflux.operations.teardown import remove_node
from tasks.engine import children

AWAY = "rpc error: code = Unavailable desc = connection error"


class Broken:
    """Kubernetes as nobody wants to meet it."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists

    def list_objects(self, _api_version: str, kind: str, **_where: str) -> list[dict[str, Any]]:
        return self.lists.get(kind, [])

    def require_kind(self, ref: Any) -> None:
        raise KindMissing(f"the API server knows no {ref.kind}")

    def apply(self, *_object: Any, **_how: Any) -> None:
        raise Retryable("failed calling webhook: connection refused")

    def annotate(self, *_object: Any) -> None: ...
    def drop_finalizers(self, *_object: Any) -> None: ...
    def delete(self, *_object: Any, **_how: Any) -> None: ...
    def close(self) -> None: ...


@dataclass
class World:
    """One control plane, one joining control plane and a worker that are not up; everything else is broken."""

    tmp_path: Path
    monkeypatch: pytest.MonkeyPatch
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        talos = {"boot_timeout_s": 30, "health_timeout_s": 60}
        self.spec = make_spec(control_planes=3, workers=1, talos=talos)
        self.talos = FakeTalos(self.spec)
        self.workspace = FakeWorkspace(
            self.spec, self.tmp_path, Talosctl(binary=Path("talosctl"), cluster=self.spec.key, runner=self.talos)
        )
        self.cluster = TalosCluster(workspace=self.workspace, clock=self.clock)
        self.plane = self.spec.control_planes[0]

    def configured(self, *, version: str = "v1.13.9") -> None:
        for machine in self.talos.machines.values():
            machine.config, machine.version = self.workspace.config(machine.node), version
        self.workspace.marker = BootstrapMarker("dev-1-cp-1", "cluster-id-1", confirmed=True)

    @property
    def rollout(self) -> Rollout:
        """With nodes that drain at once."""
        rules = self.spec.policy.rollout
        leave: Any = SimpleNamespace(rules=rules, drain=lambda _name: None)
        return Rollout(cluster=self.cluster, leave=leave, read_nodes=list)

    def say(self, command: str, error: str) -> None:
        """From now on every call of a command fails so."""
        answer = self.talos._answer("", error)
        self.monkeypatch.setattr(self.talos, f"_{command}", lambda _machine, _words: answer)

    def kubernetes(self, module: Any, **lists: list[dict[str, Any]]) -> None:
        reader = SimpleNamespace(from_kubeconfig=lambda *_path, **_more: Broken(**lists))
        self.monkeypatch.setattr(module, "Kubernetes", reader)

    def installer(self, **lists: list[dict[str, Any]]) -> Installer:
        nothing: Any = Broken(**lists)
        return Installer(
            spec=self.spec,
            tree=self.tmp_path,
            bundle=Bundle(values={}, manifests=[]),
            kubernetes=nothing,
            helm=nothing,
            argocd=nothing,
            clock=self.clock,
        )


def labelled(spec: ClusterSpec) -> ClusterSpec:
    """With a label on every worker."""
    document = spec.model_dump(mode="json")
    pools = [{**one, "labels": {"tier": "edge"}} if one["role"] == "worker" else one for one in document["node_pools"]]
    return make_spec(node_pools=pools, talos=document["talos"])


def boot(world: World) -> None:
    world.talos.machine("dev-1-cp-1").powered = False
    world.cluster.configure_first_control_plane()


def busy_node(world: World) -> None:
    world.say("apply_config", AWAY)
    world.cluster.configure_first_control_plane()


def bootstrap(world: World) -> None:
    world.cluster.configure_first_control_plane()
    world.say("bootstrap", AWAY)
    world.cluster.bootstrap_etcd()


def join(world: World) -> None:
    world.talos.joins = False
    world.cluster.configure_first_control_plane()
    world.cluster.bootstrap_etcd()
    world.cluster.join_nodes()


def kubeconfig(world: World) -> None:
    world.configured()
    world.say("kubeconfig", AWAY)
    ensure_kubeconfig(world.cluster)


def labels(world: World) -> None:
    world.workspace.spec = labelled(world.spec)
    world.kubernetes(node_labels)
    reconcile_labels(world.cluster)


def healthy(world: World) -> None:
    world.configured()
    world.kubernetes(health)
    wait_healthy(world.cluster, require_ready=False)


def upgrade(world: World) -> None:
    world.configured(version="v1.13.8")
    world.talos.members = [node.name for node in world.spec.control_planes]
    world.talos.stuck.add("dev-1-cp-1")
    world.talos.lose_reply.add("upgrade")
    upgrade_nodes(world.rollout)


def whole_etcd(world: World) -> None:
    world.configured(version="v1.13.8")
    world.talos.members = ["dev-1-cp-1", "dev-1-cp-2"]
    upgrade_nodes(world.rollout)


def reset(world: World) -> None:
    world.configured()
    world.say("reset", AWAY)
    remove_node(world.cluster, world.spec.workers[0])


def pods(world: World) -> None:
    starting = {"kind": "Deployment", "metadata": {"name": "cilium-operator", "annotations": {RELEASE: "cilium"}}}
    chart: Any = SimpleNamespace(release="cilium", namespace="kube-system")
    world.installer(Deployment=[starting])._wait_until_runs(chart, deadline_s=60)


def webhooks(world: World) -> None:
    world.installer().check_webhooks()


def sync(world: World) -> None:
    root = {"metadata": {"name": "root"}, "status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Missing"}}}
    nothing: Any = Broken(Application=[root])
    ArgoCd(nothing).wait_until_synced(clock=world.clock, deadline_s=60)


def release(world: World) -> None:
    nothing: Any = Broken(ApplicationSet=[{"metadata": {"name": "components"}}])
    ArgoCd(nothing).release(clock=world.clock)


def child(world: World) -> None:
    state = SimpleNamespace(type=SimpleNamespace(value="PAUSED"), name="Suspended", message="")
    client: Any = SimpleNamespace(read_flow_run=lambda _run: SimpleNamespace(state=state))
    run: Any = "run-1"
    world.monkeypatch.setattr(children, "log_line", lambda _line: None)
    children._wait(client, run, deployment="deploy/prod", deadline_s=60, clock=world.clock)


CASES: dict[str, tuple[Callable[[World], None], str]] = {
    "a machine that never boots": (boot, "within 30 s; last seen: .*connection refused"),
    "a machine that is always busy": (busy_node, "within 30 s; last seen: .*connection error"),
    "etcd after its bootstrap": (bootstrap, "last seen: bootstrap said: .*connection error.*dev-1-cp-1: .*not running"),
    "a control plane that does not join": (join, "within 300 s; last seen: dev-1-cp-1 lists dev-1-cp-1"),
    "a kubeconfig": (kubeconfig, "within 180 s; last seen: .*connection error"),
    "nodes to label": (labels, "within 60 s; last seen: dev-1-worker-1 is not registered"),
    "health": (healthy, "within 60 s; last seen: .*dev-1-worker-1: not registered in Kubernetes"),
    "a node after its upgrade": (upgrade, "within 30 s it did not run Talos v1.13.9.*; last seen: Talos v1.13.8"),
    "etcd between upgrades": (whole_etcd, "after 300 s last seen: dev-1-cp-3 is no etcd member"),
    "a reset": (reset, "within 120 s; last seen: it is running with Talos v1.13.9"),
    "pods of a chart": (pods, "after 60 s .*; last seen: Deployment cilium-operator: 0 of 1 ready"),
    "webhooks": (webhooks, "failed calling webhook: connection refused"),
    "Argo CD's sync": (sync, "within 60 s; last seen: Application root is OutOfSync/Missing"),
    "Applications to go": (release, "within 120 s; last seen: components"),
    "a child run": (child, r"deploy/prod \(run run-1\) has not ended within 60 s; last seen: Suspended"),
}


@pytest.mark.parametrize(("wait", "said"), CASES.values(), ids=CASES.keys())
def test_a_deadline_says_what_was_seen_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: Callable[[World], None], said: str
) -> None:
    world = World(tmp_path, monkeypatch)
    with pytest.raises(InfrafluxError, match=said):
        wait(world)
    assert world.clock.now >= 30
