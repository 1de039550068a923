"""The service as users run it: supervisord, server, worker, fork server, watchdog; and what is left when parts die."""

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from infraflux.config.environments import Environment
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done, Noop
from infraflux.service.api import PrefectApi
from infraflux.service.credentials import Credentials
from infraflux.service.follow import follow
from infraflux.service.lifecycle import Service
from infraflux.service.settings import load_settings
from infraflux.service.trigger import answer, start_run

pytestmark = pytest.mark.prefect

FIXTURE = Path(__file__).parents[1] / "fixtures" / "service_project"
SHIPPED = Path(__file__).parents[2]
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
DEADLINE_S = 120.0
DEV = Environment("dev", None, ("probe-1",))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(check: Callable[[], Any], *, what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of `check`."""
    deadline = time.monotonic() + deadline_s
    while not (value := check()):
        assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s for {what}"
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    project = tmp_path_factory.mktemp("service") / "project"
    shutil.copytree(FIXTURE, project)
    (project / "deployments").mkdir(exist_ok=True)
    for name in ("work-pool.yaml", "automations.yaml"):
        shutil.copy(SHIPPED / "deployments" / name, project / "deployments" / name)
    made = Service(project, load_settings(project, port=free_port()))
    assert isinstance(made.start(), Done)
    try:
        made.wait()
        made.configure(environments=[DEV])
        until(lambda: workers(made), what="a worker")
        yield made
    finally:
        family = processes(made)
        made.stop()
        _gone, left = psutil.wait_procs(family, timeout=10)
        assert left == []


def processes(service: Service) -> list[psutil.Process]:
    """Everything that belongs to the service."""
    parent = service.supervisor.process()
    return [parent, *parent.children(recursive=True)] if parent else []


def workers(service: Service) -> bool:
    found = service.api().post("/work_pools/infraflux/workers/filter", {})
    return any(worker["status"] == "ONLINE" for worker in found)


def start(service: Service, **parameters: Any) -> str:
    return start_run(service.api(), "probe/dev", name="probe-test", parameters=parameters)


def state(service: Service, run: str) -> str:
    return str(service.api().get(f"/flow_runs/{run}")["state"]["type"])


def ended(service: Service, run: str) -> dict[str, Any]:
    def check() -> dict[str, Any] | None:
        found = service.api().get(f"/flow_runs/{run}")
        return found if found["state"]["type"] in OVER else None

    found: dict[str, Any] = until(check, what=f"the end of {run}")
    return found


def logs(service: Service, run: str) -> str:
    body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    return "\n".join(record["message"] for record in service.api().post("/logs/filter", body))


def pid_of(service: Service, run: str) -> int:
    """The process of a run that works, from its record; its outside program runs too."""

    def working() -> int | None:
        path = service.paths.runs / f"{run}.json"
        if not path.exists():
            return None
        pid = int(json.loads(path.read_text())["pid"])
        return pid if sleepers(pid) else None

    found: int = until(working, what=f"the process of {run}")
    return found


def sleepers(pid: int) -> list[psutil.Process]:
    try:
        return [child for child in psutil.Process(pid).children(recursive=True) if child.name() == "sleep"]
    except psutil.NoSuchProcess:
        return []


def test_a_second_up_changes_nothing(service: Service) -> None:
    assert isinstance(service.start(), Noop)
    assert [type(outcome) for outcome in service.configure(environments=[DEV])] == [Noop] * 4


def test_an_environment_comes_and_goes_with_its_file(service: Service) -> None:
    home = Environment("home", None, ("home-1",))
    service.configure(environments=[DEV, home])
    made = service.api().get("/deployments/name/probe/home")
    assert (made["work_queue_name"], made["parameters"]) == ("home", {"cluster": "home-1"})
    assert made["parameter_openapi_schema"]["properties"]["cluster"]["enum"] == ["home-1"]
    service.configure(environments=[DEV])
    assert service.api().find("/deployments/name/probe/home") is None
    assert service.api().find("/deployments/name/probe/dev")


def test_a_schedule_gets_its_runs(service: Service) -> None:
    """What the server's own scheduler plans ahead; where it fails, it says so in its log only."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "limit": 5}

    def planned() -> list[dict[str, Any]]:
        return [run for run in service.api().post("/flow_runs/filter", wanted) if run["auto_scheduled"]]

    assert until(planned, what="a scheduled run")


def test_the_api_is_closed_without_the_password(service: Service) -> None:
    stranger = PrefectApi(service.settings.api_url, Credentials("admin", "guess", ""))
    with pytest.raises(Permanent, match="refused the password"):
        stranger.get("/flows/count")


def test_files_are_private(service: Service) -> None:
    for path in service.paths.root.rglob("*"):
        assert path.lstat().st_mode & 0o077 == 0 or path.is_symlink(), path
    assert service.paths.client_env.stat().st_mode & 0o077 == 0


def test_a_run_is_forked_by_the_fork_server_and_bound_to_its_environment(service: Service) -> None:
    run = start(service)
    assert ended(service, run)["state"]["type"] == "COMPLETED"
    forkserver = next(program for program in service.supervisor.status() if program.name == "forkserver")
    until(lambda: f"parent {forkserver.pid} bound to dev" in logs(service, run), what="the log line")
    assert ended(service, run)["name"] == "probe-dev-probe-1"


def test_a_parameter_cannot_lead_out_of_the_environment(service: Service) -> None:
    with pytest.raises(Permanent, match="not one of"):
        start(service, cluster="prod/prod-1")


def test_cancelling_stops_the_run_and_its_program(service: Service) -> None:
    run = start(service, seconds=100)
    programs = sleepers(pid_of(service, run))
    service.api().post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert ended(service, run)["state"]["type"] == "CANCELLED"
    assert psutil.wait_procs(programs, timeout=10)[1] == []


def test_a_killed_flow_process_leaves_no_running_run_and_no_orphan(service: Service) -> None:
    run = start(service, seconds=100)
    pid = pid_of(service, run)
    programs = sleepers(pid)
    os.kill(pid, signal.SIGKILL)
    assert psutil.wait_procs(programs, timeout=10)[1] == []
    assert ended(service, run)["state"]["type"] == "CRASHED"
    assert ended(service, start(service))["state"]["type"] == "COMPLETED"


def test_a_killed_worker_takes_its_run_along_and_comes_back(service: Service) -> None:
    run = start(service, seconds=100)
    programs = sleepers(pid_of(service, run))
    worker = next(program for program in service.supervisor.status() if program.name == "worker")
    os.kill(worker.pid, signal.SIGKILL)
    assert psutil.wait_procs(programs, timeout=30)[1] == []
    assert ended(service, run)["state"]["type"] in ("CRASHED", "FAILED")
    assert ended(service, start(service))["state"]["type"] == "COMPLETED"


def test_a_killed_server_comes_back_and_the_run_ends_well(service: Service) -> None:
    run = start(service, seconds=5)
    pid_of(service, run)
    server = next(program for program in service.supervisor.status() if program.name == "server")
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: service.status().healthy, what="the server")
    assert ended(service, run)["state"]["type"] == "COMPLETED"


def paused(service: Service, run: str) -> None:
    until(lambda: state(service, run) == "PAUSED", what="the question")


def test_approval_frees_process_and_lock_and_then_goes_on(service: Service) -> None:
    run = start(service, ask=True)
    paused(service, run)
    until(lambda: not (service.paths.runs / f"{run}.json").exists(), what="the end of the process")
    assert ended(service, start(service))["state"]["type"] == "COMPLETED"
    answer(service.api(), run, approve=True, approver="ann", comment="")
    assert ended(service, run)["state"]["type"] == "COMPLETED"
    until(lambda: "approved by ann" in logs(service, run), what="the decision in the log")


def test_an_empty_answer_rejects(service: Service) -> None:
    run = start(service, ask=True)
    paused(service, run)
    service.api().post(f"/flow_runs/{run}/resume", {"run_input": {}})
    found = ended(service, run)
    assert found["state"]["type"] == "FAILED"
    assert "rejected" in found["state"]["message"]


def test_a_plan_that_changed_meanwhile_is_refused(service: Service) -> None:
    run = start(service, ask=True)
    paused(service, run)
    digest = service.paths.project / "digest"
    digest.write_text("d2")
    try:
        answer(service.api(), run, approve=True, approver="ann", comment="")
        found = ended(service, run)
    finally:
        digest.unlink()
    assert found["state"]["type"] == "FAILED"
    assert "the plan changed" in found["state"]["message"]


def test_following_shows_stages_and_ends_with_the_run(service: Service) -> None:
    console = Console(width=120, record=True, quiet=True)
    view = follow(service.api(), start(service), title="probe", console=console)
    assert view.state_type == "COMPLETED"
    assert [name for name, _start in view.stages] == ["look", "work"]
