"""Drift of the machines layer over many clusters against an `xargs -P` sweep of plain `terraform plan` on their stacks.

Prints wall time, processor time (children included) and peak memory of the whole process tree, side by side in one
run on one lab; nothing is asserted. Our looks are processes of their own, so the start of Python and the loading of the
configuration count. `python tests/bench/bench_drift.py [clusters…]`, 20 and 50 where none are given.

- first: nothing is known of any stack, each is planned in full
- nightly: nothing has changed since
- drifted: one cluster in ten was changed by hand
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import psutil

from infraflux.adapters.terraform.stack import Stack
from infraflux.config.load import Fleet
from infraflux.core.outcomes import Noop
from infraflux.operations.drift_fleet import LOOKS_AT_ONCE
from infraflux.operations.machines import open_machines
from infraflux.operations.machines_drift import Sweep, baseline_file, look_at_machines
from infraflux.render.terraform import to_tfvars
from infraflux_lab import control, lifecycle
from infraflux_lab.state import lab_paths

REPOSITORY = Path(__file__).parents[2]
NET = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"
AT_ONCE = os.cpu_count() or 2
MIB = 2**20
OVERLAY = """size: small
cluster_id: {number}
vm_id_start: {vm_id}
network:
  vip: {vip}
  pod_cidr: 10.{number}.0.0/16
  service_cidr: 10.{service}.0.0/16
  domain: {name}.lab.infraflux.test
  load_balancer:
    pools:
      - name: default
        addresses: {load_balancer}
node_pools:
  - name: cp
    addresses: {cp}
  - name: worker
    addresses: {worker}
"""


@dataclass(frozen=True)
class Cost:
    """Of one process with all its children."""

    wall_s: float
    processor_s: float
    peak_mib: float
    said: str

    def __str__(self) -> str:
        return f"{self.wall_s:7.1f} s wall {self.processor_s:7.1f} s processor {self.peak_mib:6.0f} MiB"


def measured(argv: Sequence[str], *, stdin: str = "", ok: Sequence[int] = (0,)) -> Cost:
    """Run it, and look at its whole tree every 50 ms."""
    started = time.perf_counter()
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ended, peak = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], resident(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = os.times()
    said, _ = child.communicate(stdin)
    after = os.times()
    wall = time.perf_counter() - started
    ended.set()
    watcher.join()
    if child.returncode not in ok:
        raise SystemExit(f"{argv[0]} ended with {child.returncode}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall, processor, peak[0] / MIB, said)


def resident(pid: int) -> int:
    """Bytes that a process and its descendants hold now."""
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def write_project(root: Path, clusters: int) -> None:
    """The shipped configuration with one environment of many small clusters on three big hosts."""
    for part in ("config", "clusters", "terraform", "platform"):
        shutil.copytree(REPOSITORY / part, root / part, ignore=shutil.ignore_patterns(".terraform*"))
    for name in ("staging", "prod"):
        (root / "config" / "environments" / f"{name}.yaml").unlink()
        shutil.rmtree(root / "clusters" / "overlays" / name)
    (root / "clusters" / "overlays" / "dev" / "dev-1.yaml").unlink()
    change(root / "config" / "lab.yaml", ("65536", "1048576"), ("capacity_gib: 1000", "capacity_gib: 10000"))
    change(root / "config" / "environments" / "dev.yaml", ("127.77.1.0/24", "127.77.16.0/20"))
    change(root / "config" / "environments" / "dev.yaml", ("gateway: 127.77.1.1", "gateway: 127.77.16.1"))
    for number in range(1, clusters + 1):
        (root / "clusters" / "overlays" / "dev" / f"c{number:02}.yaml").write_text(overlay(number))
    for path in (*(root / "config").rglob("*.yaml"), *(root / "clusters").rglob("*.yaml")):
        change(path, ("127.77", NET))


def overlay(number: int) -> str:
    base = IPv4Address(f"{NET}.16.0") + 16 + 8 * number
    return OVERLAY.format(
        number=number, service=number + 100, vm_id=10000 + 100 * number, name=f"c{number:02}", vip=base,
        cp=f"{base + 1}-{base + 1}", worker=f"{base + 2}-{base + 3}", load_balancer=f"{base + 4}-{base + 6}",
    )  # fmt: skip


def change(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in pairs:
        text = text.replace(old, new)
    path.write_text(text)


@contextmanager
def running_lab(root: Path) -> Iterator[Path]:
    """Its control socket."""
    lab = root / ".infraflux" / "lab"
    lifecycle.up(spec_path=root / "config" / "lab.yaml", state_dir=lab)
    try:
        yield lab_paths(lab).socket
    finally:
        lifecycle.reset(lab)


def stacks_of(root: Path, keys: Sequence[str]) -> list[Stack]:
    """The shared stack, then one per cluster."""
    fleet = Fleet.load(root)
    opened = [open_machines(fleet.cluster(key), root=root, fleet=fleet) for key in keys]
    return [opened[0].shared, *(one.own for one in opened)]


def make_clusters(root: Path, keys: Sequence[str]) -> None:
    """Apply each cluster once; the shared stack with the first."""
    fleet = Fleet.load(root)

    def make(key: str) -> None:
        machines = open_machines(fleet.cluster(key), root=root, fleet=fleet)
        seen = machines.preflight()
        variables = machines.own_variables(guests=seen.observed.guests, orphans=seen.orphans)
        machines.own.apply(machines.own.plan(to_tfvars(variables)))

    first = open_machines(fleet.cluster(keys[0]), root=root, fleet=fleet)
    first.apply(first.plan())
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        list(pool.map(make, keys[1:]))


def bare_sweep(stacks: Sequence[Stack]) -> Cost:
    """`terraform plan` in every initialised copy, as many at once as there are cores."""
    lines = []
    for stack in stacks:
        (copy,) = (stack.place.state / "work").glob(f"*/terraform/{stack.place.stack}")
        variables = max((stack.place.state / "runs").glob("*/terraform.tfvars.json"))
        lines.append(f"{copy} {variables} {copy.parents[1] / 'cli.tfrc'}")
        os.environ.update(stack._env)
    binary = stacks[0]._tool.binary
    plan = (
        f'TF_CLI_CONFIG_FILE="$2" {binary} -chdir="$0" plan -input=false -detailed-exitcode -var-file="$1" >/dev/null'
    )
    # 2 is a difference, which is an answer; xargs would report it as a failure.
    script = f"{plan}; test $? -ne 1"
    argv = ["xargs", "-P", str(AT_ONCE), "-n", "3", "sh", "-c", script]
    return measured(argv, stdin="\n".join(lines))


def our_sweep(root: Path, count: int) -> Cost:
    return measured([sys.executable, __file__, "--look", str(root), str(count)])


def look(root: Path, count: int) -> None:
    """The child: look at the first clusters as `infraflux drift check` does, machines only."""
    fleet = Fleet.load(root)
    keys = list(fleet.clusters)[:count]
    sweep = Sweep(root=root, fleet=fleet)
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        looks = list(pool.map(lambda key: look_at_machines(fleet.cluster(key), sweep=sweep), keys))
    answers = [looks[0].shared, *(one.own for one in looks)]
    drifted = [key for key, one in zip(keys, looks, strict=True) if one.findings]
    planned = sum(not isinstance(one.how, Noop) for one in answers)
    print(json.dumps({"stacks": len(answers), "planned": planned, "drifted": drifted}))


def compare(root: Path, socket: Path, keys: Sequence[str]) -> list[dict[str, object]]:
    """All looks over these clusters, and the sweep before each kind of them."""
    stacks, rows = stacks_of(root, keys), []
    for stack in stacks:
        baseline_file(stack).unlink(missing_ok=True)
    changed = keys[::10]
    for what in ("first", "nightly", "drifted"):
        if what == "drifted":
            edit(root, socket, changed, cores="7")
        calls: list[int] = []
        costs = []
        for run in (lambda: bare_sweep(stacks), lambda: our_sweep(root, len(keys))):
            control.call(socket, "requests-reset")
            costs.append(run())
            calls.append(sum(row["count"] for row in control.call(socket, "requests")))
        bare, ours = costs
        said = json.loads(ours.said)
        assert len(said["drifted"]) == (len(changed) if what == "drifted" else 0), said
        print(f"{len(keys)} clusters, {what}: {said['planned']} of {said['stacks']} stacks planned")
        print(f"  terraform plan  {bare}  {calls[0]} API calls\n  drift           {ours}  {calls[1]} API calls")
        ratio = {
            "wall": round(ours.wall_s / bare.wall_s, 3),
            "processor": round(ours.processor_s / bare.processor_s, 3),
            "memory": round(ours.peak_mib / bare.peak_mib, 3),
            "calls": round(calls[1] / calls[0], 3),
        }
        print(f"  ours / theirs   {', '.join(f'{value} {name}' for name, value in ratio.items())}", flush=True)
        rows.append({"clusters": len(keys), "look": what, **ratio})
    edit(root, socket, changed, cores="2")
    return rows


def edit(root: Path, socket: Path, keys: Sequence[str], **options: str) -> None:
    """Change the first machine of each of these clusters behind Terraform's back."""
    fleet = Fleet.load(root)
    for key in keys:
        vm = str(fleet.cluster(key).nodes[0].vm_id)
        control.call(socket, "act", action="edit-vm", environment="dev", params={"vm": vm, **options})


def main(sizes: Sequence[int]) -> None:
    print(f"{AT_ONCE} cores, load {os.getloadavg()[0]:.1f} before")
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write_project(root, max(sizes))
        with running_lab(root) as socket:
            keys = list(Fleet.load(root).clusters)
            made = 0
            for size in sorted(sizes):
                began = time.perf_counter()
                make_clusters(root, keys[made:size])
                print(
                    f"made {size - made} clusters in {time.perf_counter() - began:.0f} s (not part of any figure)",
                    flush=True,
                )
                made = size
                rows += compare(root, socket, keys[:size])
    print(f"load {os.getloadavg()[0]:.1f} after")
    print(json.dumps(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        look(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main([int(word) for word in sys.argv[1:]] or [20, 50])
