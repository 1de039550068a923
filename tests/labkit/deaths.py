"""Kill a part of a running deploy at a stage, and see that nothing stays behind."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil
from labkit.house import House, until

BOUND_S = 120.0
"""Within this a dead run has ended and left no process: the watchdog looks every 10 s and waits 15 s; the rest is for a
machine that does other things too."""

VICTIMS = ("flow", "terraform", "worker", "server", "forkserver")


class StagePassed(Exception):
    """The run ended before the stage could be met."""


@dataclass(frozen=True)
class Meeting:
    """A run met at a stage, with its processes as they were then."""

    run: str
    pid: int
    family: Sequence[psutil.Process]


def meet(house: House, run: str, stage: str, *, program: str = "", also: Callable[[], bool] = lambda: True) -> Meeting:
    """Wait until the run is in the stage (and its outside program runs); StagePassed where it ends before.

    The worker prints each line of a run at once; over the API a line may come a second later.
    """
    mark = f"- ── {stage}\n"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        pid = process_of(house, run)
        if pid and mark in printed(house, run) and (not program or children(pid, program)) and also():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                return Meeting(run, pid, [process, *process.children(recursive=True)])
        if not pid and house.read(run)["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            raise StagePassed(f"{run} ended before {stage}: {house.read(run)['state']}\n{house.log(run)}")
        time.sleep(0.02)
    raise StagePassed(f"{run} never came to {stage}")


def process_of(house: House, run: str) -> int | None:
    """The process of a run that works, from its record."""
    try:
        return int(json.loads((house.service.paths.runs / f"{run}.json").read_text())["pid"])
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def printed(house: House, run: str) -> str:
    """What the worker's log has since the run was submitted."""
    text = (house.service.paths.logs / "worker.log").read_text(errors="replace")
    return text[text.rfind(f"submitting flow run '{run}'") :] if run in text else ""


def children(pid: int, name: str) -> list[psutil.Process]:
    """Programs of this name below a process."""
    with suppress(psutil.NoSuchProcess):
        return [one for one in psutil.Process(pid).children(recursive=True) if one.name() == name]
    return []


def kill(house: House, meeting: Meeting, victim: str) -> None:
    """SIGKILL, as the kernel does it when memory runs out."""
    if victim == "flow":
        pids = [meeting.pid]
    elif victim == "terraform":
        pids = [one.pid for one in children(meeting.pid, "terraform")]
    else:
        pids = [house.pid(victim)]
    assert pids, f"no {victim} to kill"
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_over(house: House, meeting: Meeting) -> str:
    """The run's end, with no process of it left; AssertionError where the bound passes first."""
    state = str(house.ended(meeting.run, patience_s=BOUND_S)["state"]["type"])
    _gone, left = psutil.wait_procs(meeting.family, timeout=60)
    assert left == []
    until(lambda: process_of(house, meeting.run) is None, what="the end of the record", patience_s=60)
    return state
