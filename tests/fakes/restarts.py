"""Five nodes whose machines can be switched, and everything that happens to them in the order in which it happens."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fakes.clock import FakeClock
from fakes.plans import spec_of_five, summary
from fakes.power import FakePower
from fakes.talos import FakeTalos, FakeWorkspace

from infraflux.adapters.kubernetes.facts import ROLLING
from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.outcomes import Done, Outcome
from infraflux.operations import execution
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan.actions import Action, ClusterPlan
from infraflux.operations.planning import Planned
from infraflux.operations.restart import NodeRestart
from infraflux.operations.rollout import Rollout

CP1, CP2, CP3 = "dev-1-cp-1", "dev-1-cp-2", "dev-1-cp-3"
W1, W2 = "dev-1-worker-1", "dev-1-worker-2"


@dataclass
class World:
    """A cluster of five."""

    power: FakePower
    cluster: TalosCluster
    rules: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def opened(self) -> OpenCluster:
        spec = self.power.spec
        rules = spec.policy.rollout.model_copy(update=self.rules)
        self.power.calls = self.log
        service = SimpleNamespace(rules=rules, drain=self.drain, take_back=self.take_back, forget=self.forget)
        rollout = Rollout(cluster=self.cluster, leave=cast(Any, service), read_nodes=self.power.nodes)
        restart = NodeRestart(
            cluster=self.cluster, open_power=lambda: cast(Any, self.power), rules=rules, read_nodes=self.power.nodes
        )
        known = {
            "spec": spec,
            "key": spec.key,
            "talos": self.cluster,
            "state": self.cluster.workspace.directory,
            "rollout": lambda: rollout,
            "node_restart": lambda: restart,
            "node_exit": lambda: service,
            "machines": SimpleNamespace(power=lambda: self.power),
        }
        return cast(OpenCluster, SimpleNamespace(**known))

    def drain(self, name: str, *, mark: str = ROLLING) -> None:
        self.log.append(f"drain {name}" + ("" if mark == ROLLING else f" for {mark}"))

    def forget(self, name: str) -> bool:
        self.log.append(f"forget {name}")
        return True

    def take_back(self, name: str, *, mark: str | None = ROLLING) -> Outcome:
        self.log.append(f"take back {name}")
        return Done(f"{name} is in service again")

    def run(
        self, *actions: Action, step: Callable[[OpenCluster, Planned], Any] = execution.restart_nodes
    ) -> dict[str, Outcome]:
        """One step of a plan that holds these actions."""
        plan = ClusterPlan(cluster="dev/dev-1", actions=actions, shared=summary(), machines=summary())
        return dict(step(self.opened, Planned(plan=plan, machines=None, seen=cast(Any, None))))


def make_world(directory: Path) -> World:
    """All is as declared, and on."""
    spec = spec_of_five(talos={"boot_timeout_s": 30, "health_timeout_s": 30})
    talos = FakeTalos(spec)
    talosctl = Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=talos)
    workspace = FakeWorkspace(spec, directory / "state", talosctl, BootstrapMarker(CP1, "cluster-id-1", confirmed=True))
    for machine in talos.machines.values():
        machine.config = workspace.config(machine.node)
    talos.members = [node.name for node in spec.control_planes]
    cluster = TalosCluster(workspace=cast(Any, workspace), clock=FakeClock())
    return World(FakePower(spec, talos), cluster)
