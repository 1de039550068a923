"""Machines: our apply and no-op plan against bare Terraform on the same files, wall time and Proxmox API calls.

Prints ratios; nothing is asserted. Both sides work on the lab with the `zero` profile, alternately, from the same
working copies and variables. `python tests/bench/bench_machines.py [rounds]`
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infraflux.config.load import Fleet
from infraflux.operations.machines import Machines, open_machines
from infraflux_lab import control, lifecycle
from infraflux_lab.state import lab_paths

REPOSITORY = Path(__file__).parents[2]
KEY = "staging/staging-1"
NET = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"


@dataclass
class Series:
    """One measured thing."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        middle, low, high = statistics.median(self.seconds), min(self.seconds), max(self.seconds)
        return f"median {middle:6.2f} s  min {low:6.2f}  max {high:6.2f}  calls {statistics.median(self.calls):.0f}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def checkout(root: Path) -> None:
    for part in ("config", "clusters", "terraform", "platform"):
        ignored = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl")
        shutil.copytree(REPOSITORY / part, root / part, ignore=ignored)
    for path in (*(root / "config").rglob("*.yaml"), *(root / "clusters").rglob("*.yaml")):
        path.write_text(path.read_text().replace("127.77", NET))
    # 3 + 3 on three hosts.
    overlay = root / "clusters" / "overlays" / "staging" / "staging-1.yaml"
    overlay.write_text(overlay.read_text().replace("- name: worker\n", "- name: worker\n    count: 3\n"))


def machines(root: Path) -> Machines:
    fleet = Fleet.load(root)
    return open_machines(fleet.cluster(KEY), root=root, fleet=fleet)


class Bare:
    """`terraform` by hand in the working copies that our own run has initialised, with the same state and variables."""

    def __init__(self, ours: Machines, directory: Path) -> None:
        self._stacks = []
        for stack in (ours.shared, ours.own):
            (copy,) = (stack.place.state / "work").glob(f"*/terraform/{stack.place.stack}")
            (first, *_) = sorted((stack.place.state / "runs").glob("*/terraform.tfvars.json"))
            # Only the newest runs are kept.
            variables = shutil.copyfile(first, directory / f"{stack.place.name}.tfvars.json")
            environment = {**os.environ, **stack._env, "TF_CLI_CONFIG_FILE": str(copy.parents[1] / "cli.tfrc")}
            self._stacks.append((copy, variables, environment, str(stack._tool.binary)))

    def run(self, *arguments: str, backwards: bool = False) -> None:
        for copy, variables, environment, binary in reversed(self._stacks) if backwards else self._stacks:
            self._call(binary, copy, environment, *arguments, "-input=false", f"-var-file={variables}")

    def run_read_first(self) -> None:
        """An apply as careful hands do it: both plans saved and shown, then applied as they were shown."""
        for copy, variables, environment, binary in self._stacks:
            saved = f"-out={variables}.tfplan"
            self._call(binary, copy, environment, "plan", saved, "-input=false", f"-var-file={variables}")
            self._call(binary, copy, environment, "show", "-json", f"{variables}.tfplan")
        for copy, variables, environment, binary in self._stacks:
            self._call(binary, copy, environment, "apply", "-input=false", f"{variables}.tfplan")

    def _call(self, binary: str, copy: Path, environment: dict[str, str], *arguments: str) -> None:
        argv = [binary, f"-chdir={copy}", *arguments]
        done = subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"terraform {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def measured(series: Series, socket: Path, work: Callable[[], object]) -> None:
    control.call(socket, "requests-reset")
    started = time.perf_counter()
    work()
    series.seconds.append(time.perf_counter() - started)
    series.calls.append(sum(row["count"] for row in control.call(socket, "requests")))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = ("our apply", "bare apply", "bare apply, read first", "our no-op plan", "bare no-op plan")
    found = {name: Series() for name in names}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        checkout(root)
        lab = root / ".infraflux" / "lab"
        lifecycle.up(spec_path=root / "config" / "lab.yaml", state_dir=lab)
        socket = lab_paths(lab).socket
        try:
            machines(root).plan()  # `terraform init` of both is paid once, before anything is measured
            bare = Bare(machines(root), root)
            for _ in range(rounds):
                ours = machines(root)
                measured(found["our apply"], socket, lambda: ours.apply(ours.plan()))  # noqa: B023 - called at once
                measured(found["our no-op plan"], socket, lambda: machines(root).plan())
                machines(root).destroy()
                measured(found["bare apply"], socket, lambda: bare.run("apply", "-auto-approve"))
                measured(found["bare no-op plan"], socket, lambda: bare.run("plan", "-detailed-exitcode"))
                bare.run("destroy", "-auto-approve", backwards=True)
                measured(found["bare apply, read first"], socket, bare.run_read_first)
                bare.run("destroy", "-auto-approve", backwards=True)
        finally:
            lifecycle.reset(lab)
    for name, series in found.items():
        say(f"{name:22} {series}")
    for what, against in (("apply", "apply"), ("apply", "apply, read first"), ("no-op plan", "no-op plan")):
        ours, theirs = found[f"our {what}"], found[f"bare {against}"]
        wall = statistics.median(ours.seconds) / statistics.median(theirs.seconds)
        calls = statistics.median(ours.calls) / statistics.median(theirs.calls)
        say(f"{what}: ours / bare {against} = {wall:.2f} wall, {calls:.2f} API calls (3+3 machines, {rounds} rounds)")
    say(json.dumps({name: {"seconds": one.seconds, "calls": one.calls} for name, one in found.items()}))


if __name__ == "__main__":
    main()
