"""A project whose lab runs real Talos nodes, in a network namespace of the test run's own."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import this_machine
from infraflux.config.load import load_cluster
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.talos import open_talos
from infraflux_lab import control, lifecycle
from infraflux_lab.events import read_events
from infraflux_lab.state import LabPaths, lab_paths, lock_holder
from infraflux_lab.talos_real import cgroups, needs, syscalls, sysctls
from infraflux_lab.talos_real.layout import Layout

REPOSITORY = Path(__file__).parents[2]
PARTS = ("config", "clusters", "terraform", "platform", "examples")
SHIPPED_NET = "127.77"
KEY = "dev/dev-1"
SAID: list[str] = []
"""Every command of the run with its duration, for the summary."""
PATIENCE_S = 300.0
"""Real nodes take 13 to 60 s for what is waited for, on a machine that does nothing else."""


def what_is_missing() -> list[str]:
    """Why real nodes cannot run on this machine; nothing where they can."""
    found = cgroups.mounted()
    version = cgroups.Groups("x", found).version if found else 0
    return needs.missing(needs.look(programs(), cgroups=version))


def programs() -> dict[str, Path]:
    """The built programs of the lab that are here."""
    shelf = this_machine()
    found = {name: shelf.find(name).path for name in lifecycle.PROGRAMS}
    return {name: path for name, path in found.items() if path}


def enter_network_namespace() -> None:
    """From now on this process and its children have a network of their own: no packet leaves it."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What nodes could leave on a machine."""

    namespaces: tuple[str, ...]
    mounts: tuple[str, ...]
    groups: tuple[str, ...]
    processes: tuple[str, ...]
    devices: tuple[str, ...]
    settings: Mapping[str, str]


def traces(layout: Layout) -> Traces:
    """Look at this machine; only what could be this lab's, since others may use the machine meanwhile."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    links = json.loads(subprocess.run(["ip", "-json", "link"], check=True, capture_output=True).stdout)
    named = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return Traces(
        namespaces=tuple(sorted(named.split("\n"))),
        mounts=tuple(sorted(mount for mount in mounts if str(layout.home) in mount)),
        groups=tuple(cgroups.Groups(layout.lab, cgroups.mounted()).left()),
        processes=tuple(sorted(_inside(layout))),
        devices=tuple(sorted(link["ifname"] for link in links)),
        settings={name: (sysctls.HOME / name).read_text() for name in sysctls.NAMES if (sysctls.HOME / name).exists()},
    )


def _inside(layout: Layout) -> Iterator[str]:
    """Processes that run in this lab's nodes or for them."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        try:
            mounts = Path(f"/proc/{process.pid}/mountinfo").read_text()
        except OSError:
            continue
        if str(layout.home) in " ".join(words) or str(layout.home) in mounts:
            yield " ".join(words[:4])


@dataclass(frozen=True, kw_only=True)
class RealProject:
    """A checkout whose lab runs real nodes."""

    root: Path
    net: str

    @property
    def lab(self) -> LabPaths:
        return lab_paths(self.root / ".infraflux" / "lab")

    @property
    def layout(self) -> Layout:
        return Layout(home=self.lab.root / "talos-real")

    # The product, as its user calls it

    def infraflux(self, *words: str, deadline_s: float = 600.0, fails: bool = False) -> str:
        """Run the command line; its output. It must end well, or badly where it `fails`."""
        argv = [str(Path(sys.executable).with_name("infraflux")), *words]
        started = time.monotonic()
        done = subprocess.run(
            argv, cwd=self.root, check=False, text=True, timeout=deadline_s, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        SAID.append(f"infraflux {' '.join(words)}: exit {done.returncode} in {time.monotonic() - started:.0f} s")
        assert (done.returncode != 0) is fails, f"{SAID[-1]}\n{done.stdout}"
        return done.stdout

    def deploy(self) -> str:
        """A whole deploy in a process of its own, without a service."""
        return self.infraflux("deploy", KEY, "--local", "--yes", deadline_s=1500)

    def talosctl(self, *words: str, node: str) -> str:
        """Ask one node with the cluster's own certificate."""
        return self.cluster().admin.call(*words, node=node)

    def cluster(self) -> TalosCluster:
        """The product's own view of the cluster's Talos side."""
        return open_talos(load_cluster(self.root, KEY), root=self.root)

    def kubectl(self, *words: str) -> Any:
        """What kubectl prints as JSON."""
        kubeconfig = self.cluster().workspace.kubeconfig
        argv = [this_machine().locate("kubectl"), "--kubeconfig", kubeconfig, *words, "-o", "json"]
        return json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout)

    def edit(self, name: str, change: Callable[[Any], None]) -> None:
        """Change one YAML file of the project."""
        yaml = YAML()
        path = self.root / name
        document = yaml.load(path)
        change(document)
        yaml.dump(document, path)

    # The lab

    def up(self) -> dict[str, Any]:
        """Start the lab with real nodes."""
        spec = self.root / "config" / "lab.yaml"
        return lifecycle.up(spec_path=spec, state_dir=self.lab.root, programs=programs(), talos="real")[1]

    def act(self, action: str, **params: str) -> None:
        """Something done behind the product's back."""
        control.call(self.lab.socket, "act", action=action, environment="dev", params=params, timeout_s=60.0)

    def switch_on(self, vm_id: int) -> None:
        """Give a machine power, once Proxmox has seen that it went off."""
        booted = len(self.events("booting", machine=f"dev/{vm_id}"))

        def boots() -> bool:
            self.act("start-vm", vm=str(vm_id))
            return len(self.events("booting", machine=f"dev/{vm_id}")) > booted

        until(boots, what=f"VM {vm_id} to start", patience_s=60)

    def events(self, kind: str, **wanted: Any) -> list[Mapping[str, Any]]:
        """What the lab wrote down of its nodes."""
        return list(read_events(self.lab.events, source="talos-real", kind=kind, **wanted))

    def kill(self) -> None:
        """End the lab's process as the kernel does it when memory runs out."""
        holder = lock_holder(self.lab.lock)
        assert holder is not None
        process = psutil.Process(holder)
        process.kill()
        process.wait(timeout=30)


def until(check: Callable[[], Any], *, what: str, patience_s: float = PATIENCE_S, every_s: float = 1.0) -> Any:
    """The first true value of `check`; AssertionError naming `what` when patience ends."""
    deadline = time.monotonic() + patience_s
    while not (value := check()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(every_s)
    return value


def make_project(root: Path, *, octet: str) -> RealProject:
    """A checkout whose nodes have addresses below 10.<octet>; the lab's own servers stay on loopback."""
    ignored = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl")
    for part in PARTS:
        shutil.copytree(REPOSITORY / part, root / part, ignore=ignored)
    shutil.copy(REPOSITORY / ".gitignore", root / ".gitignore")
    net = f"10.{octet}"
    for path in (*(root / "config" / "environments").glob("*.yaml"), *(root / "clusters").rglob("*.yaml")):
        path.write_text("\n".join(_moved(line, net) for line in path.read_text().split("\n")))
    project = RealProject(root=root, net=net)
    if patch := cgroups.kubelet_patch(cgroups.mounted()):
        project.edit("clusters/base/machines.yaml", lambda base: add_patch(base, "cgroup-v1", patch))
    for words in (["init", "--initial-branch=main"], ["add", "--all"], ["commit", "--message", "Set up"]):
        subprocess.run(["git", "-C", root, *words], check=True, capture_output=True, env={**os.environ, **_WHO})
    return project


_WHO = {f"GIT_{role}_{part}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def _moved(line: str, net: str) -> str:
    """Addresses of nodes move; where the Proxmox API is does not."""
    return line if "endpoint:" in line else line.replace(SHIPPED_NET, net)


def add_patch(document: Any, name: str, content: Mapping[str, Any], *, scope: str = "all") -> None:
    """Declare one more machine config patch."""
    patches = document.setdefault("talos", {}).setdefault("patches", {}).setdefault(scope, [])
    patches.append({"name": name, "content": dict(content)})


def changes(output: str) -> Sequence[str]:
    """Lines of a command's output that say that something was done."""
    return [
        line for line in output.splitlines() if line.strip() and not line.startswith(("nothing to do", "Simulated"))
    ]


def all_ready(project: RealProject) -> bool:
    """Whether every declared node is registered and Ready, and no other; not while the API does not answer, as it
    does when the virtual IP moves."""
    try:
        items = project.kubectl("get", "nodes")["items"]
    except subprocess.SubprocessError:
        return False
    ready = {
        item["metadata"]["name"]: next(one["status"] for one in item["status"]["conditions"] if one["type"] == "Ready")
        for item in items
    }
    return ready == {node.name: "True" for node in project.cluster().spec.nodes}
