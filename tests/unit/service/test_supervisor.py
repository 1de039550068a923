"""What supervisord is told."""

from configparser import RawConfigParser
from pathlib import Path

from infraflux.service.forkserver import GRACE_S
from infraflux.service.paths import ServicePaths
from infraflux.service.supervisor import PROGRAMS, Supervisor, render_config


def parsed(paths: ServicePaths) -> RawConfigParser:
    config = RawConfigParser()
    config.read_string(render_config(paths))
    return config


def test_every_program_is_supervised_and_logs_to_one_place(tmp_path: Path) -> None:
    paths = ServicePaths(tmp_path)
    config = parsed(paths)
    for program in PROGRAMS:
        section = config[f"program:{program.name}"]
        assert section["autorestart"] == "true"
        assert section["stdout_logfile"].replace("%%", "%") == str(paths.logs / f"{program.name}.log")
    assert config["supervisord"]["umask"] == "077"


def test_the_fork_server_is_stopped_later_than_its_runs_may_take() -> None:
    waits = {program.name: program.stop_wait_s for program in PROGRAMS}
    assert waits["forkserver"] > GRACE_S
    assert waits["worker"] > GRACE_S


def test_the_worker_stops_before_the_fork_server_and_the_fork_server_before_the_server() -> None:
    order = {program.name: program.priority for program in PROGRAMS}
    assert order["server"] < order["forkserver"] < order["worker"]


def test_a_percent_sign_in_the_path_is_no_expansion(tmp_path: Path) -> None:
    assert "%%(ENV_HOME)s" in render_config(ServicePaths(tmp_path / "%(ENV_HOME)s"))


def test_a_stale_pid_file_is_not_believed(tmp_path: Path) -> None:
    paths = ServicePaths(tmp_path)
    paths.make()
    paths.supervisor_pid.write_text("1\n")
    supervisor = Supervisor(paths)
    assert supervisor.process() is None
    assert supervisor.running() is False
    assert supervisor.status() == []
    assert supervisor.stop() is False
