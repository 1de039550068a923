"""The way a user goes, on the lab: machines, then `infraflux cluster bootstrap` as a process, killed at will."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infraflux.adapters.talos.seen import look_at_etcd
from infraflux.cli.lab import installed_programs
from infraflux.config.load import load_cluster
from infraflux.operations.talos import open_talos
from infraflux_lab import lifecycle

pytestmark = [pytest.mark.lab, pytest.mark.tools]

KEY = "dev/dev-1"
BOUND_S = 240.0
# What holds secret values by design: the encrypted bundle, credentials for people, and the simulated machines.
HOLDERS = ("lab/", "clusters/dev/dev-1/kubeconfig", "clusters/dev/dev-1/talosconfig")


@pytest.fixture
def made(project: Any) -> Any:
    """A lab with its real programs, and the machines of dev/dev-1."""
    state = project.lab.root
    lifecycle.down(state)
    lifecycle.up(spec_path=project.root / "config" / "lab.yaml", state_dir=state, programs=installed_programs())
    machines = project.machines(KEY)
    machines.apply(machines.plan())
    return project


def start(project: Any) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "infraflux.cli.main", "cluster", "bootstrap", KEY]
    out = subprocess.PIPE
    return subprocess.Popen(argv, cwd=project.root, stdout=out, stderr=subprocess.STDOUT, text=True)


def finish(child: subprocess.Popen[str]) -> str:
    output, _ = child.communicate(timeout=BOUND_S)
    assert child.returncode == 0, output
    return output


def kill_when(child: subprocess.Popen[str], seen: Callable[[str], bool]) -> None:
    """Kill -9 as soon as a line says that a step was reached; fails where the run ends before."""
    assert child.stdout is not None
    for line in child.stdout:
        if seen(line):
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
            return
    raise AssertionError("the run ended before it was killed")


def members(project: Any) -> list[str]:
    talos = open_talos(load_cluster(project.root, KEY), root=project.root)
    etcd = look_at_etcd(talos.spec.control_planes, admin=talos.admin)
    return [one.hostname for one in etcd.members] if etcd else []


STEPS = (
    "made .*talos.age",
    "first configuration",
    "dev-1-cp-1 configured",
    "bootstrapped etcd",
    "worker-1: first conf",
)


def test_killed_in_every_step_and_run_again_converges_to_one_etcd(made: Any) -> None:
    for step in STEPS:
        kill_when(start(made), lambda line, step=step: bool(re.search(step, line)))
    output = finish(start(made))
    assert "dev/dev-1 is healthy" in output
    assert members(made) == ["dev-1-cp-1"]
    assert len(made.events(kind="bootstrapped")) == 1
    again = finish(start(made))
    assert again.count("nothing to do") >= 5


def test_no_secret_of_the_bundle_leaves_its_holders(made: Any) -> None:
    child = start(made)
    argvs: set[str] = set()
    while child.poll() is None:
        for one in psutil.Process(child.pid).children(recursive=True) if psutil.pid_exists(child.pid) else []:
            try:
                argvs.add(" ".join(one.cmdline()))
            except psutil.Error:
                continue
        time.sleep(0.02)
    output, _ = child.communicate()
    assert child.returncode == 0, output
    assert any("talosctl" in one for one in argvs)
    talos = open_talos(load_cluster(made.root, KEY), root=made.root)
    document = talos.workspace.bundle.document
    public = {entry["crt"] for entry in document["certs"].values() if "crt" in entry}
    secrets = talos.workspace.bundle.sensitive_values() - public
    assert len(secrets) >= 8
    leaks = [where for where, text in texts(made.root, output, argvs) for value in secrets if value in text]
    assert leaks == []


def texts(root: Path, output: str, argvs: set[str]) -> Iterator[tuple[str, str]]:
    yield "output", output
    yield from (("argv", one) for one in argvs)
    state = root / ".infraflux"
    for path in state.rglob("*"):
        name = str(path.relative_to(state))
        if path.is_file() and not path.is_symlink() and not name.startswith(HOLDERS):
            yield name, path.read_bytes().decode(errors="replace")


def test_node_that_never_boots_is_named_and_its_cluster_stands(project: Any) -> None:
    for name in ("clusters/templates/small.yaml",):
        project.edit(name, lambda it: it.setdefault("talos", {}).update(boot_timeout_s=20))
    state = project.lab.root
    lifecycle.down(state)
    lifecycle.up(spec_path=project.root / "config" / "lab.yaml", state_dir=state, programs=installed_programs())
    project.fault("never-boots", target="dev/10021")
    machines = project.machines(KEY)
    machines.apply(machines.plan())
    child = start(project)
    output, _ = child.communicate(timeout=BOUND_S)
    assert child.returncode == 1
    assert re.search(r"1 of 2 nodes did not come up: dev-1-worker-1.*last seen", output.replace("\n", " "))
    assert "Traceback" not in output
    assert members(project) == ["dev-1-cp-1"]


def test_wrong_machine_at_the_address_gets_nothing(project: Any) -> None:
    state = project.lab.root
    lifecycle.down(state)
    lifecycle.up(spec_path=project.root / "config" / "lab.yaml", state_dir=state, programs=installed_programs())
    project.fault("wrong-identity", target="dev/10011")
    machines = project.machines(KEY)
    machines.apply(machines.plan())
    child = start(project)
    output, _ = child.communicate(timeout=BOUND_S)
    assert child.returncode == 1
    assert "nothing was pushed" in output.replace("\n", " ")
    assert not (project.root / ".infraflux" / "clusters" / "dev" / "dev-1" / "bootstrap.json").exists()


def test_bootstrap_leaves_no_process_behind(made: Any) -> None:
    kill_when(start(made), lambda line: "first configuration" in line)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and left(made.root):
        time.sleep(0.1)
    assert left(made.root) == []


def left(root: Path) -> list[str]:
    found = []
    for one in psutil.process_iter(["cmdline"]):
        line = " ".join(one.info["cmdline"] or [])
        if str(root) in line and "talosctl" in line.split(" ", 1)[0]:
            found.append(line)
    return found
