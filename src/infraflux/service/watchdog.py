"""The watchdog: finds runs whose process is gone and processes whose run is over, and ends both.

Prefect alone does not: a worker that stops leaves its runs Running, and a run that the server marked crashed goes on
working. One look every `LOOK_S`; the first look, when the service starts, is the reconciliation after a crash.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from infraflux.core.errors import InfrafluxError
from infraflux.core.run_records import RunRecord, alive, read_records, remove_record
from infraflux.service.api import PrefectApi
from infraflux.service.credentials import load_credentials
from infraflux.service.paths import ServicePaths

LOOK_S = 10.0
SETTLE_S = 15.0
"""How long a worker that saw its process die may take to report it, with the better message."""
KILL_WAIT_S = 5.0
TERMINATE_GRACE_S = 40.0
"""A run gets 25 s to stop Terraform cleanly."""

WORKING = frozenset({"PENDING", "RUNNING", "CANCELLING"})
OVER = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})


class Remedy(StrEnum):
    """What to do about one record."""

    LEAVE = "leave"
    """All is well, or it is too early to tell."""
    CRASH = "crash"
    """The process is gone and the run does not know."""
    CANCEL = "cancel"
    """The process is gone in the middle of a cancellation."""
    KILL = "kill"
    """The run is over and the process goes on."""
    FORGET = "forget"
    """Both are over."""


@dataclass(frozen=True)
class Observed:
    """One record and what is known about it."""

    record: RunRecord
    alive: bool
    state: str | None
    """Prefect's state type; None where the server does not know the run."""
    dead_for_s: float = 0.0
    over_for_s: float = 0.0


def judge(seen: Observed) -> Remedy:
    """Decide about one record (pure)."""
    over = seen.state is None or seen.state in OVER
    if seen.alive:
        # A run that has just ended still writes its last log lines.
        return Remedy.KILL if over and seen.over_for_s > SETTLE_S else Remedy.LEAVE
    if seen.state not in WORKING:
        return Remedy.FORGET
    if seen.dead_for_s < SETTLE_S:
        return Remedy.LEAVE
    return Remedy.CANCEL if seen.state == "CANCELLING" else Remedy.CRASH


class Watchdog:
    """Looks, judges and acts; remembers only since when something has been so."""

    def __init__(
        self,
        *,
        records: Path,
        api: PrefectApi,
        api_url: str,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.records, self.api, self.api_url, self.log, self.clock = records, api, api_url, log, clock
        self.since: dict[tuple[str, str], float] = {}

    def look(self) -> list[tuple[RunRecord, Remedy]]:
        """One round over all records of this server."""
        mine = [record for record in read_records(self.records) if record.api_url == self.api_url]
        result = []
        for record in mine:
            remedy = judge(self.observe(record))
            self.act(record, remedy)
            result.append((record, remedy))
        known = {record.flow_run_id for record in mine}
        self.since = {key: start for key, start in self.since.items() if key[0] in known}
        return result

    def observe(self, record: RunRecord) -> Observed:
        run = self.api.find(f"/flow_runs/{record.flow_run_id}")
        state = run["state"]["type"] if run and run.get("state") else None
        living = alive(record)
        return Observed(
            record=record,
            alive=living,
            state=state,
            dead_for_s=self.lasting(record, "dead", not living),
            over_for_s=self.lasting(record, "over", state is None or state in OVER),
        )

    def lasting(self, record: RunRecord, what: str, now_so: bool) -> float:
        """Seconds for which this has been so."""
        key = (record.flow_run_id, what)
        if not now_so:
            self.since.pop(key, None)
            return 0.0
        return self.clock() - self.since.setdefault(key, self.clock())

    def act(self, record: RunRecord, remedy: Remedy) -> None:
        if remedy in (Remedy.CRASH, Remedy.CANCEL):
            self.finish(record, "CRASHED" if remedy is Remedy.CRASH else "CANCELLED")
        if remedy is Remedy.KILL:
            self.log(f"{record.flow} {record.cluster}: run {record.flow_run_id} is over, ending process {record.pid}")
            terminate(record)
        if remedy is not Remedy.LEAVE:
            remove_record(self.records, record.flow_run_id)

    def finish(self, record: RunRecord, state: str) -> None:
        message = f"Process {record.pid} of this run is gone; deploy again to continue from what is there."
        body: dict[str, Any] = {"state": {"type": state, "message": message}, "force": True}
        self.api.post(f"/flow_runs/{record.flow_run_id}/set_state", body)
        self.log(f"{record.flow} {record.cluster}: run {record.flow_run_id} set {state.lower()}: {message}")


def terminate(record: RunRecord, *, grace_s: float = TERMINATE_GRACE_S) -> None:
    """SIGTERM to the run, a bounded wait, then SIGKILL to it and all it started."""
    try:
        process = psutil.Process(record.pid)
        family: Sequence[psutil.Process] = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
    except psutil.Error:
        return
    _gone, left = psutil.wait_procs(family, timeout=grace_s)
    for one in left:
        with suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(left, timeout=KILL_WAIT_S)


def main() -> None:
    """Look for ever; a server that is away is looked for again at the next round."""
    paths = ServicePaths(Path(os.environ["INFRAFLUX_STATE_DIR"]).parent)
    credentials = load_credentials(paths.credentials)
    if credentials is None:
        sys.exit(f"no credentials at {paths.credentials}")
    api_url = os.environ["PREFECT_API_URL"]

    def log(line: str) -> None:
        print(time.strftime("%Y-%m-%dT%H:%M:%S%z"), line, flush=True)  # noqa: T201 - the service log

    watchdog = Watchdog(records=paths.runs, api=PrefectApi(api_url, credentials), api_url=api_url, log=log)
    log(f"watching {paths.runs}")
    while True:
        try:
            watchdog.look()
        except InfrafluxError as error:
            log(str(error))
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
