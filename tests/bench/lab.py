"""What the lab itself costs: time to listening, memory, time per API call. Prints a table; asserts nothing.

uv run python tests/bench/lab.py [--net 127.79] [--repeats 5]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from proxmoxer import ProxmoxAPI

from infraflux_lab import lifecycle
from infraflux_lab.state import lab_paths

SPEC = Path(__file__).parents[2] / "config" / "lab.yaml"
CALLS = 300


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def api(state: Path, net: str) -> ProxmoxAPI:
    """A client of the running lab."""
    paths = lab_paths(state)
    return ProxmoxAPI(
        f"{net}.1.2:8006",
        user="infraflux@pve",
        token_name="dev",
        token_value=(paths.credentials / "dev.token").read_text().strip(),
        verify_ssl=str(paths.ca_certificate),
    )


def one_run(net: str) -> dict[str, float]:
    """Start, measure, stop."""
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "lab"
        try:
            cold = seconds_of(lambda: lifecycle.up(spec_path=SPEC, state_dir=state, net=net))
            started = lifecycle.status(state)
            assert started is not None
            processor = sum(psutil.Process(started["process"]).cpu_times()[:2])
            client = api(state, net)
            for number in range(100, 150):
                client.nodes("pve-dev-1").qemu.post(vmid=number, name=f"vm-{number}", scsi0="local-lvm:1")
            reads = seconds_of(lambda: [client.nodes("pve-dev-1").qemu(100).config.get() for _ in range(CALLS)])
            lists = seconds_of(lambda: [client.cluster.resources.get(type="vm") for _ in range(CALLS)])
            status = lifecycle.status(state)
            lifecycle.down(state)
            warm = seconds_of(lambda: lifecycle.up(spec_path=SPEC, state_dir=state))
        finally:
            lifecycle.reset(state)
    assert status is not None
    return {
        "first start, s": cold,
        "second start, s": warm,
        "processor time of a first start, s": processor,
        "memory with 50 machines, MiB": status["memory_mib"],
        "GET config, ms": 1000 * reads / CALLS,
        "GET cluster/resources with 50 machines, ms": 1000 * lists / CALLS,
    }


def main(argv: Sequence[str]) -> None:
    """Print medians with the smallest and largest value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", default="127.79")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args(argv)
    runs = [one_run(arguments.net) for _ in range(arguments.repeats)]
    sys.stdout.write("| measure | median | min | max |\n|---|---|---|---|\n")
    for name in runs[0]:
        values = [run[name] for run in runs]
        row = f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |\n"
        sys.stdout.write(row)


if __name__ == "__main__":
    main(sys.argv[1:])
