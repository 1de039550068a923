"""Validate and render generated fleets of 30 and 300 clusters with 6 nodes each: time, growth, peak memory; and
`config validate` of the shipped fleet as a person runs it, without talosctl, asking it for the first time, and again.

Every fleet is measured in a process of its own, from the first file read to the last file rendered, without the import
of the program. Run: `uv run python tests/bench/bench_config.py`.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infraflux.adapters.tools.places import Places

SIZES = (30, 300)
REPEATS = 5
PER_ENVIRONMENT = 30
ROOT = Path(__file__).parents[2]

OVERLAY = """size: bench
cluster_id: {id}
vm_id_start: {vm_id}
description: generated cluster {id}
network:
  vip: {block}.10
  pod_cidr: 10.{pods}.0.0/16
  service_cidr: 172.16.0.0/16
  domain: {name}.example.org
  load_balancer:
    pools:
      - name: default
        addresses: {block}.200-{block}.219
node_pools:
  - name: cp
    addresses: {block}.11-{block}.20
  - name: worker
    addresses: {block}.21-{block}.40
    labels:
      example.org/rack: "{id}"
platform:
  components:
    - name: cilium
      values:
        operator:
          replicas: 2
        hubble:
          enabled: true
"""


def generate(root: Path, clusters: int) -> None:
    """A repository of the shipped defaults, base and one template, and this many clusters."""
    for part in ("config/defaults", "clusters/base"):
        shutil.copytree(ROOT / part, root / part)
    template = (ROOT / "clusters/templates/large.yaml").read_text("utf-8")
    _write(root / "clusters/templates/bench.yaml", template)
    for number in range(clusters):
        environment = f"env-{number // PER_ENVIRONMENT}"
        if number % PER_ENVIRONMENT == 0:
            _write(root / f"config/environments/{environment}.yaml", _environment(number // PER_ENVIRONMENT))
        name = f"{environment}-{number % PER_ENVIRONMENT}"
        block = f"192.{number // PER_ENVIRONMENT}.{number % PER_ENVIRONMENT}"
        # Cilium's cluster ids end at 255; the fleet's last clusters share some, which the check reports at its cost.
        values = {
            "id": number % 255 + 1,
            "vm_id": 1000 * (number + 1),
            "name": name,
            "block": block,
            "pods": number % 200 + 10,
        }
        _write(root / f"clusters/overlays/{environment}/{name}.yaml", OVERLAY.format(**values))


def _environment(number: int) -> str:
    text = (ROOT / "config/environments/dev.yaml").read_text("utf-8")
    text = text.replace("127.77.1.2", f"127.77.{number}.2").replace("127.77.1.0/24", f"192.{number}.0.0/16")
    return text.replace("127.77.1.1", f"192.{number}.0.1")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def measure(root: Path) -> dict[str, float]:
    """In the child: seconds to validate and to render, and the peak memory."""
    from infraflux.config.load import examine  # noqa: PLC0415  (the import is not what is measured)
    from infraflux.render import render_cluster  # noqa: PLC0415

    started, cpu = time.perf_counter(), time.process_time()
    examined = examine(root)
    validated = time.perf_counter()
    files = sum(len(render_cluster(spec, root)) for spec in examined.fleet.clusters.values())
    rendered = time.perf_counter()
    other = [problem for problem in examined.problems if problem.path != "cluster_id"]
    assert not other, other[0]
    return {
        "validate_s": validated - started,
        "render_s": rendered - validated,
        "cpu_s": time.process_time() - cpu,
        "files": files,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    totals = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="infraflux-bench-") as directory:
            generate(Path(directory), size)
            runs = [_child(directory) for _ in range(REPEATS)]
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        sums = [run["validate_s"] + run["render_s"] for run in runs]
        totals[size] = statistics.median(sums)
        print(
            f"config {size:4} clusters x 6 nodes: {totals[size]:.2f} s (min {min(sums):.2f}, max {max(sums):.2f}); "
            f"validate {median['validate_s']:.2f} s, render {median['render_s']:.2f} s, CPU {median['cpu_s']:.2f} s, "
            f"{median['files']:.0f} files, peak {median['peak_mib']:.0f} MiB"
        )
    print(f"config t(300)/t(30) = {totals[300] / totals[30]:.1f} (aim <= 11; 300 clusters aim < 3 s)")
    commands()


def commands() -> None:
    """The whole command, its start included; a cache of its own, in which only the programs are there already."""
    with tempfile.TemporaryDirectory(prefix="infraflux-bench-") as directory:
        cache = Path(directory) / "infraflux"
        cache.mkdir()
        (cache / "tools").symlink_to(Places.of_this_machine().cache / "tools")
        _validate("--no-talos", cache=directory)  # whatever Python has to compile is compiled
        alone = [_validate("--no-talos", cache=directory) for _ in range(REPEATS)]
        cold = _validate(cache=directory)
        again = [_validate(cache=directory) for _ in range(REPEATS)]
    print(
        f"config validate, shipped fleet: {statistics.median(alone):.2f} s without talosctl (aim < 1 s), "
        f"{cold:.2f} s with it (aim < 5 s), {statistics.median(again):.2f} s again (aim < 1 s)"
    )


def _validate(*options: str, cache: str) -> float:
    argv = [Path(sys.executable).with_name("infraflux"), "config", "validate", *options]
    started = time.perf_counter()
    subprocess.run(argv, cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": cache}, capture_output=True, check=True)
    return time.perf_counter() - started


def _child(directory: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, directory], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
    else:
        main()
