"""From the trigger to the first task, over the REST API as the Run button does it: a flow of one task, a warm service.

Prints where the time goes, run by run and as medians, and what the idle programs hold; asserts nothing. Aim: 2 s.
`python tests/bench/bench_trigger.py [runs]`
"""

import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from infraflux.config.environments import Environment
from infraflux.service.api import PrefectApi
from infraflux.service.lifecycle import Service
from infraflux.service.settings import load_settings
from infraflux.service.trigger import start_run

REPOSITORY = Path(__file__).parents[2]
SETTLE_S = 15.0
"""Start-up work of the server and the worker's first look are over by then."""
LEGS = ("created", "Pending", "Running", "first task", "last task", "Completed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(root: Path) -> Service:
    """A service with the probe project of the tests, registered and with its worker online."""
    project = root / "project"
    shutil.copytree(REPOSITORY / "tests/fixtures/service_project", project)
    (project / "deployments").mkdir(exist_ok=True)
    for name in ("work-pool.yaml", "automations.yaml"):
        shutil.copy(REPOSITORY / "deployments" / name, project / "deployments" / name)
    service = Service(project, load_settings(project, port=free_port()))
    service.start()
    service.wait()
    service.configure(environments=[Environment("dev", None, ("probe-1",))])
    return service


def at(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def one_run(api: PrefectApi) -> dict[str, float]:
    """Seconds from the call that created the run to each later moment."""
    called = time.time()
    run = start_run(api, "probe/dev", name="bench", parameters={"cluster": "probe-1"})
    while api.get(f"/flow_runs/{run}")["state"]["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        time.sleep(0.1)
    states = api.get(f"/flow_run_states/?flow_run_id={run}")
    tasks = api.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    seen = {state["name"]: at(state["timestamp"]) - called for state in states}
    seen["created"] = at(api.get(f"/flow_runs/{run}")["created"]) - called
    # A task's first state may be stored late, its start is when its body began.
    starts = sorted(at(task["start_time"]) for task in tasks if task["start_time"])
    seen |= {"first task": starts[0] - called, "last task": starts[-1] - called}
    return seen


def pss_mib(pid: int) -> int:
    """What a program and its children hold of memory that is there once; as its owner we may read it."""
    process = psutil.Process(pid)
    return int(sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True))) >> 20)


def show(name: str, seen: dict[str, float]) -> None:
    print(f"{name:8} " + "  ".join(f"{leg} {seen[leg]:5.2f}" for leg in LEGS if leg in seen))


def main() -> None:
    """Start, settle, measure, stop."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as name:
        service = started(Path(name))
        try:
            time.sleep(SETTLE_S)
            api = service.api()
            show("first", one_run(api))
            found: list[dict[str, Any]] = [one_run(api) for _ in range(runs)]
            for number, seen in enumerate(found, start=1):
                show(f"{number}", seen)
            middle = {leg: statistics.median(one[leg] for one in found if leg in one) for leg in LEGS}
            show("median", middle)
            print(f"first task after {middle['first task']:.2f} s (aim 2), load {os.getloadavg()[0]:.1f}")
            time.sleep(SETTLE_S)
            programs = service.status().programs
            print("idle: " + ", ".join(f"{one.name} {one.rss_mib} MiB" for one in programs))
            each, shared = sum(one.rss_mib for one in programs), sum(pss_mib(one.pid) for one in programs)
            print(f"idle: {each} MiB with shared pages counted for each, {shared} MiB with them shared out (PSS)")
        finally:
            service.stop()


if __name__ == "__main__":
    main()
