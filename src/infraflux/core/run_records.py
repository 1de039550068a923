"""Which process works on which flow run: one small file per run, so that a watchdog can tell the dead from the slow.

A pid alone is reused sooner or later; pid and start time together name one process of one boot.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from infraflux.core.files import write_private

START_TOLERANCE_S = 1.0
"""psutil computes start times from the boot time, which moves a little when the clock is corrected."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A flow run that works on this machine."""

    flow_run_id: str
    flow: str
    cluster: str
    api_url: str
    pid: int
    started: float
    """Start of the process, seconds since the epoch."""


def record_for_this_process(*, flow_run_id: str, flow: str, cluster: str, api_url: str) -> RunRecord:
    """The record of the calling process."""
    process = psutil.Process()
    return RunRecord(
        flow_run_id=flow_run_id,
        flow=flow,
        cluster=cluster,
        api_url=api_url,
        pid=process.pid,
        started=process.create_time(),
    )


def write_record(directory: Path, record: RunRecord) -> Path:
    """Store the record; one file per flow run."""
    return write_private(directory / f"{record.flow_run_id}.json", json.dumps(asdict(record), indent=2) + "\n")


def remove_record(directory: Path, flow_run_id: str) -> None:
    """Forget a run; nothing happens where there is no record."""
    (directory / f"{flow_run_id}.json").unlink(missing_ok=True)


def read_records(directory: Path) -> Iterator[RunRecord]:
    """All records; a file that is none of ours is passed over, it is removed by nobody."""
    for path in sorted(directory.glob("*.json")):
        try:
            yield RunRecord(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue


def alive(record: RunRecord) -> bool:
    """Whether exactly that process still runs; a zombie does not."""
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.started) < START_TOLERANCE_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
