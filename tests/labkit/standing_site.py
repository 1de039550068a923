"""A cluster that stands on the lab, and deploys of it step by step, in this process: for what changes on it later."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.project import Project, project_with_lab

from infraflux.adapters.tools.locate import locate
from infraflux.cli.lab import installed_programs
from infraflux.config.models import Node
from infraflux.core.outcomes import Outcome
from infraflux.operations import execution, health
from infraflux.operations.execution import AFTER_MACHINES, BEFORE_MACHINES, Step
from infraflux.operations.opening import OpenCluster, open_cluster
from infraflux.operations.planning import Planned, make_plan

KEY = "dev/dev-1"
OVERLAY = "clusters/overlays/dev/dev-1.yaml"
LEFT_OUT = frozenset({execution.install_argocd, execution.hand_off})
"""What no change of a node needs, and what takes most of a deploy's time."""


@dataclass
class Site:
    """The cluster, ways to change its configuration, and witnesses that no one here wrote."""

    project: Project
    said: list[str] = field(default_factory=list)
    """What the last deploy logged."""

    def open(self) -> OpenCluster:
        return open_cluster(self.project.root, KEY, log=self.said.append)

    def plan(self) -> Planned:
        return make_plan(self.open())

    def rows(self, *kinds: str) -> list[tuple[str, str, str]]:
        """Kind, object and change of every planned action of these kinds; of all where none is named."""
        actions = self.plan().plan.actions
        return [(one.kind, one.object, one.change) for one in actions if not kinds or one.kind in kinds]

    def deploy(self) -> Mapping[str, Outcome | Mapping[str, Outcome]]:
        """Every step of a deploy in its order, but for Argo CD; what each did, by its place on the timeline."""
        self.said.clear()
        opened = self.open()
        planned = make_plan(opened)
        done = {one.stage: one.run(opened, planned) for one in _wanted(BEFORE_MACHINES)}
        opened.machines.apply(planned.machines)
        opened.forget_platform()
        done |= {one.stage: one.run(opened, planned) for one in _wanted(AFTER_MACHINES)}
        # The handoff makes it, which later plans expect.
        opened.platform().secrets()
        health.wait_healthy(opened.talos, require_ready=True)
        return done

    def edit(self, change: Callable[[Any], None]) -> None:
        """Change the cluster's own file."""
        self.project.edit(OVERLAY, change)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.open().spec.nodes)

    @property
    def directory(self) -> Path:
        return self.project.root / ".infraflux" / "clusters" / "dev" / "dev-1"

    def kubectl(self, *words: str, check: bool = True) -> str:
        argv = [locate("kubectl"), "--kubeconfig", self.directory / "kubeconfig", *words]
        return _said(argv, check=check)

    def objects(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *words, "-o", "json"))["items"]
        return found

    def talosctl(self, node: Node, *words: str, check: bool = True) -> str:
        config = self.directory / "talosconfig"
        where = ["--nodes", str(node.address), "--endpoints", str(node.address), "--talosconfig", config]
        return _said([locate("talosctl"), *words, *where], check=check)


def _wanted(steps: tuple[Step, ...]) -> Iterator[Step]:
    return (one for one in steps if one.run not in LEFT_OUT)


def _said(argv: list[Any], *, check: bool) -> str:
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, check=False, timeout=120)
    assert not check or done.returncode == 0, f"{argv[1:]}: {done.stderr}{done.stdout}"
    return done.stdout


@contextmanager
def standing_site(
    root: Path, *, planes: int = 3, workers: int = 2, before: Callable[[Site], None] = lambda _site: None
) -> Iterator[Site]:
    """Deployed, with Cilium; the lab is gone afterwards. `before` changes the configuration first."""

    def sized(project: Project) -> None:
        def counts(it: Any) -> None:
            it["node_pools"][0]["count"], it["node_pools"][1]["count"] = planes, workers

        project.edit(OVERLAY, counts)
        before(Site(project))

    with project_with_lab(root, change=sized, programs=installed_programs()) as project:
        site = Site(project)
        site.deploy()
        yield site
