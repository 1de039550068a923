"""A deploy of 3+3 nodes: against what the lab's log says it hung on, against a script of the same tools, and repeated.

Prints walls, ratios and the orchestrator's overhead per stage; asserts nothing. The lab takes the time of real
hardware, scaled; Terraform's own polls do not shrink with it.
`PYTHONPATH=tests python tests/bench/bench_deploy.py [--scale 0.05] [--repeats 3]`
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from labkit.house import House, check_out, free_port, of, online, tear_down, until

from infraflux.adapters.tools.locate import locate
from infraflux.config.load import Fleet
from infraflux.core.spans import Kind, Span
from infraflux.operations.machines import open_machines
from infraflux.operations.platform import Platform, open_platform
from infraflux.operations.talos import open_talos
from tasks.engine.timeline import OURSELVES, Stage, longest_steps

KEY = "staging/staging-1"
HELM_TIMEOUT = "600s"


def prepared(root: Path, *, net: str, scale: float) -> House:
    """A checkout with 3+3 nodes in staging, service and lab running."""
    check_out(root, net=net)
    lab = root / "config" / "lab.yaml"
    lab.write_text(lab.read_text().replace("profile: zero", "profile: real").replace("scale: 1.0", f"scale: {scale}"))
    overlay = root / "clusters" / "overlays" / "staging" / "staging-1.yaml"
    overlay.write_text(overlay.read_text().replace("- name: worker\n", "- name: worker\n    count: 3\n"))
    house = House(root=root, net=net, port=free_port())
    house.infraflux("up", "--no-deploy")
    until(lambda: online(house), what="a worker")
    return house


@dataclass(frozen=True)
class Run:
    """One finished flow run."""

    wall_s: float
    bodies: Sequence[tuple[str, float]]
    """Task and seconds, in order."""
    began: float
    """Seconds since the epoch."""

    @property
    def overhead_s(self) -> float:
        """The stages follow each other, so their bodies are the longest chain."""
        return self.wall_s - sum(seconds for _, seconds in self.bodies)

    def seconds(self, name: str) -> float:
        return sum(seconds for task, seconds in self.bodies if task.startswith(name))


def at(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def finished(house: House, run: str) -> Run:
    """Wait for a run and read where its time went."""
    found = house.completed(run)
    tasks = sorted(house.pages("/task_runs/filter", {"flow_runs": {"id": of(run)["flow_run_id"]}}), key=start_of)
    return Run(
        wall_s=at(found["end_time"]) - at(found["start_time"]),
        bodies=[(str(task["name"]), at(task["end_time"]) - at(task["start_time"])) for task in tasks],
        began=at(found["start_time"]),
    )


def start_of(task: dict[str, Any]) -> float:
    return at(task["start_time"])


def lab_stage(house: House, run: Run) -> Stage:
    """The lab's sleeps during a run as a stage: its critical path is what simulated hardware made the run wait for."""
    sleeps = [
        (event["wall_s"] - run.began, str(event["phase"]), float(event["seconds"]))
        for event in house.lab_events(source="latency", kind="sleep")
    ]
    spans = tuple(
        Span(Kind.WAIT, phase, start, start + seconds) for start, phase, seconds in sleeps if 0 <= start <= run.wall_s
    )
    return Stage("lab", 0.0, run.wall_s, "", spans)


class ByHand:
    """The same tools in series, as a person would put them into a script; inputs are made beforehand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fleet = Fleet.load(root)
        self.spec = self.fleet.cluster(KEY)
        machines = open_machines(self.spec, root=root, fleet=self.fleet)
        machines.plan()
        self.terraform = import_module("bench_machines").Bare(machines, root.parent)
        self.talos = open_talos(self.spec, root=root)

    def plan(self) -> None:
        self.terraform.run("plan", "-detailed-exitcode")

    def deploy(self) -> dict[str, float]:
        """Seconds per tool."""
        _ = self.talos.workspace.configs
        self.talos.workspace.ensure_talosconfig()
        found = {"terraform apply": timed(lambda: self.terraform.run("apply", "-auto-approve"))}
        bootstrap = import_module("bench_bootstrap").bootstrap_serial
        found["talosctl"] = timed(lambda: bootstrap(self.talos))
        platform = open_platform(self.spec, root=self.root)
        with tempfile.TemporaryDirectory() as name:
            found["helm"] = timed(lambda: [self.install(one, platform, Path(name)) for one in ("cilium", "argocd")])
            found["kubectl apply"] = timed(lambda: self.hand_over(platform, Path(name)))
        found["wait for Git's state"] = timed(lambda: until(lambda: synced(platform), what="Git's state"))
        return found

    def install(self, component: str, platform: Platform, directory: Path) -> None:
        chart = platform.installer.chart(component, directory)
        argv = ["upgrade", chart.release, chart.name, "--install", "--repo", chart.repository]
        argv += ["--version", chart.version, "--namespace", chart.namespace, "--create-namespace"]
        argv += ["--wait", "--timeout", HELM_TIMEOUT]
        argv += [word for path in chart.values for word in ("--values", str(path))]
        called(locate("helm"), *argv, "--kubeconfig", self.talos.workspace.kubeconfig)

    def hand_over(self, platform: Platform, directory: Path) -> None:
        secrets = platform.secrets()
        namespaces = sorted({str(one["metadata"]["namespace"]) for one in secrets})
        objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces]
        path = directory / "objects.json"
        items = [*objects, *secrets, *platform.installer.bundle.manifests]
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        words = ["apply", "--server-side", "--force-conflicts", "-f", path]
        called(locate("kubectl"), "--kubeconfig", self.talos.workspace.kubeconfig, *words)


def synced(platform: Platform) -> bool:
    seen = platform.installer.argocd.read()
    return bool(seen) and seen[0].name == "root" and all(one.done for one in seen)


def called(*argv: object) -> None:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{argv[0]} {argv[1]}: {done.stderr[-2000:]}")


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def say(line: str) -> None:
    """At once, also into a file: a benchmark that is stopped has said what it knew."""
    print(line, flush=True)


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def report_run(run: Run, lab: Stage) -> None:
    """Wall, the lab's chain, overhead."""
    chain = [(name, seconds) for _, name, seconds in longest_steps([lab]) if name != OURSELVES]
    simulated = sum(seconds for _, seconds in chain)
    say(
        f"deploy 3+3: {run.wall_s:.1f} s; simulated hardware on its path {simulated:.1f} s: "
        f"{run.wall_s / simulated:.2f} ({load()})"
    )
    say("  on the path: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in chain))
    stages = len(run.bodies)
    each = 1000 * run.overhead_s / stages
    say(f"  overhead {run.overhead_s:.2f} s over {stages} tasks: {each:.0f} ms each (aim 150)")
    say("  bodies: " + ", ".join(f"{name.rsplit('-', 1)[0]} {seconds:.1f}" for name, seconds in run.bodies))


def report_repeats(again: Sequence[Run], plans: Sequence[float]) -> None:
    """A deploy that changes nothing against the plan alone."""
    wall, bare = statistics.median(run.wall_s for run in again), statistics.median(plans)
    plan = statistics.median(run.seconds("plan cluster") for run in again)
    sync = statistics.median(run.seconds("wait for Argo CD") for run in again)
    over = statistics.median(1000 * run.overhead_s / len(run.bodies) for run in again)
    say(
        f"no-op: plan stage {plan:.2f} s, terraform plan of the same stacks in series {bare:.2f} s: {plan / bare:.2f} "
        f"(aim 1.2); whole run {wall:.1f} s, of which {sync:.1f} s Argo CD compares with Git anew, "
        f"{wall - plan - sync:.1f} s looks at Talos, Kubernetes and Git; {over:.0f} ms overhead per task ({load()})"
    )


def report_hand(ours: Run, theirs: dict[str, float]) -> None:
    total = sum(theirs.values())
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in theirs.items())
    say(f"by hand in series: {total:.1f} s ({parts}); ours / by hand = {ours.wall_s / total:.2f} ({load()})")


def main(argv: Sequence[str]) -> None:
    """One house, everything in it one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args(argv)
    net = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"
    with tempfile.TemporaryDirectory() as name:
        house = prepared(Path(name) / "project", net=net, scale=arguments.scale)
        try:
            ours = finished(house, house.deploy(KEY))
            report_run(ours, lab_stage(house, ours))
            again = [finished(house, house.deploy(KEY)) for _ in range(arguments.repeats)]
            hand = ByHand(house.root)
            report_repeats(again, [timed(hand.plan) for _ in range(arguments.repeats)])
            house.completed(house.deploy(KEY, flow="destroy", confirm=KEY))
            report_hand(ours, hand.deploy())
        finally:
            tear_down(house)


if __name__ == "__main__":
    main(sys.argv[1:])
