"""The watchdog: telling the dead from the slow, and ending both."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from infraflux.core.run_records import RunRecord, alive, read_records, record_for_this_process, write_record
from infraflux.service.watchdog import SETTLE_S, Observed, Remedy, Watchdog, judge, terminate

API = "http://127.0.0.1:1/api"
RECORD = RunRecord(flow_run_id="r1", flow="deploy", cluster="dev/dev-1", api_url=API, pid=1, started=0.0)
LATER = SETTLE_S + 1


@pytest.mark.parametrize(
    ("seen", "remedy"),
    [
        pytest.param({"alive": True, "state": "RUNNING"}, Remedy.LEAVE, id="works"),
        pytest.param({"alive": True, "state": "CANCELLING"}, Remedy.LEAVE, id="is-being-cancelled"),
        pytest.param({"alive": True, "state": "COMPLETED"}, Remedy.LEAVE, id="writes-its-last-lines"),
        pytest.param({"alive": True, "state": "CRASHED", "over_for_s": LATER}, Remedy.KILL, id="goes-on-after-crash"),
        pytest.param({"alive": True, "state": None, "over_for_s": LATER}, Remedy.KILL, id="run-deleted"),
        pytest.param({"alive": True, "state": "PAUSED", "over_for_s": LATER}, Remedy.LEAVE, id="waits-for-approval"),
        pytest.param({"alive": False, "state": "RUNNING", "dead_for_s": 1}, Remedy.LEAVE, id="too-early"),
        pytest.param({"alive": False, "state": "RUNNING", "dead_for_s": LATER}, Remedy.CRASH, id="died"),
        pytest.param({"alive": False, "state": "PENDING", "dead_for_s": LATER}, Remedy.CRASH, id="died-early"),
        pytest.param({"alive": False, "state": "CANCELLING", "dead_for_s": LATER}, Remedy.CANCEL, id="died-in-cancel"),
        pytest.param({"alive": False, "state": "COMPLETED"}, Remedy.FORGET, id="finished"),
        pytest.param({"alive": False, "state": "PAUSED"}, Remedy.FORGET, id="suspended"),
        pytest.param({"alive": False, "state": "SCHEDULED"}, Remedy.FORGET, id="waits-for-its-turn"),
        pytest.param({"alive": False, "state": None}, Remedy.FORGET, id="unknown-to-the-server"),
    ],
)
def test_judge(seen: dict[str, Any], remedy: Remedy) -> None:
    assert judge(Observed(record=RECORD, **seen)) is remedy


class FakeApi:
    """Flow runs by id, and the states that were set."""

    def __init__(self, states: dict[str, str]) -> None:
        self.states = states
        self.calls: list[tuple[str, str]] = []

    def find(self, path: str) -> dict[str, Any] | None:
        state = self.states.get(path.rsplit("/", 1)[-1])
        return {"state": {"type": state}} if state else None

    def post(self, path: str, body: Any = None) -> None:
        run = path.split("/")[2]
        self.states[run] = body["state"]["type"]
        self.calls.append((run, body["state"]["type"]))


def make_watchdog(tmp_path: Path, api: FakeApi, now: list[float]) -> Watchdog:
    return Watchdog(records=tmp_path, api=api, api_url=API, log=lambda _line: None, clock=lambda: now[0])  # type: ignore[arg-type]


def test_a_dead_run_is_crashed_after_the_settle_time_and_forgotten(tmp_path: Path) -> None:
    api, now = FakeApi({"r1": "RUNNING"}), [0.0]
    write_record(tmp_path, RECORD)
    watchdog = make_watchdog(tmp_path, api, now)
    watchdog.look()
    assert api.calls == []
    now[0] = LATER
    watchdog.look()
    assert api.calls == [("r1", "CRASHED")]
    assert list(read_records(tmp_path)) == []


def test_runs_of_another_server_are_left_alone(tmp_path: Path) -> None:
    api, now = FakeApi({}), [0.0]
    write_record(tmp_path, RunRecord(**{**RECORD.__dict__, "api_url": "http://other/api"}))
    assert make_watchdog(tmp_path, api, now).look() == []
    assert len(list(read_records(tmp_path))) == 1


def test_a_pid_of_another_time_is_not_the_run() -> None:
    mine = record_for_this_process(flow_run_id="r", flow="deploy", cluster="c", api_url=API)
    assert alive(mine)
    assert not alive(RunRecord(**{**mine.__dict__, "started": mine.started - 3600}))
    assert not alive(RunRecord(**{**mine.__dict__, "pid": 2**22 - 1}))


def test_terminate_ends_the_process_and_what_it_started() -> None:
    # Ignores SIGTERM, as a run stuck in C code would, and has a child in its own session.
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    started = psutil.Process(process.pid).create_time()
    record = RunRecord(**{**RECORD.__dict__, "pid": process.pid, "started": started})
    terminate(record, grace_s=0.5)
    process.wait(timeout=10)
    process.stdout.close()
    assert not alive(record)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_file_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text('{"a": 1}')
    assert list(read_records(tmp_path)) == []
