"""supervisord: the configuration it gets, and how we talk to it (XML-RPC over a 0700 Unix socket)."""

import http.client
import os
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from configparser import RawConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from infraflux.core.clock import NotYet, SystemClock, wait_until
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.process import start_daemon
from infraflux.service.files import write_if_changed
from infraflux.service.paths import ServicePaths

DAEMON_DEADLINE_S = 120.0
"""supervisord forks within a second; a machine that is busy compiling takes longer."""


@dataclass(frozen=True)
class SupervisedProgram:
    """One supervised program; started in order of priority, stopped in reverse."""

    name: str
    priority: int
    stop_wait_s: int


PROGRAMS = (
    SupervisedProgram("server", 10, 15),
    # Its runs get 40 s to stop Terraform cleanly, so supervisord must not kill it earlier.
    SupervisedProgram("forkserver", 20, 50),
    # The worker waits for the processes of its runs, which the fork server stops.
    SupervisedProgram("worker", 30, 50),
    SupervisedProgram("watchdog", 40, 10),
)


@dataclass(frozen=True)
class ProgramStatus:
    name: str
    state: str
    pid: int
    uptime_s: int
    rss_mib: int
    """Resident memory with children."""


def render_config(paths: ServicePaths, programs: Sequence[SupervisedProgram] = PROGRAMS) -> str:
    """supervisord.conf (pure). Secrets are not in it: they come by the environment that supervisord is started with."""
    config = RawConfigParser()
    config["unix_http_server"] = {"file": str(paths.supervisor_socket), "chmod": "0600"}
    config["supervisord"] = {
        "logfile": str(paths.logs / "supervisord.log"),
        "logfile_maxbytes": "5MB",
        "logfile_backups": "1",
        "pidfile": str(paths.supervisor_pid),
        "childlogdir": str(paths.logs),
        "directory": str(paths.project),
        "umask": "077",
        "nocleanup": "true",
    }
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for program in programs:
        config[f"program:{program.name}"] = {
            "command": f"{sys.executable} -m infraflux.service.programs {program.name}",
            "directory": str(paths.project),
            "priority": str(program.priority),
            "autostart": "true",
            "autorestart": "true",
            "startsecs": "2",
            # Each failure adds a second of back-off; giving up would need a human for what time may heal.
            "startretries": "100000",
            "stopwaitsecs": str(program.stop_wait_s),
            "stopasgroup": "false",
            # What does not stop in time dies with everything it started.
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(paths.logs / f"{program.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "3",
        }
    if os.getuid() == 0:
        # Silences supervisord's warning about running as root unawares.
        config["supervisord"]["user"] = "root"
    text = StringIO()
    config.write(text)
    # supervisord expands %(ENV_x)s in every value.
    return text.getvalue().replace("%", "%%")


class Supervisor:
    """A running or absent supervisord of one project."""

    def __init__(self, paths: ServicePaths) -> None:
        self.paths = paths

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, f"unix://{self.paths.supervisor_socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            transport.close()

    def running(self) -> bool:
        """Whether supervisord answers."""
        return self._look() is None

    def _look(self) -> NotYet | None:
        try:
            with self._rpc() as rpc:
                state = str(rpc.getState()["statename"])
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            return NotYet(f"no answer ({error})")
        return None if state == "RUNNING" else NotYet(f"it is {state}")

    def start(self, environment: Mapping[str, str], *, timeout_s: float = 20) -> None:
        """Start supervisord in the background; returns when it answers."""
        write_if_changed(self.paths.supervisor_config, render_config(self.paths))
        argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.paths.supervisor_config)]
        start_daemon(argv, env=environment, cwd=self.paths.project, deadline_s=DAEMON_DEADLINE_S)
        late = wait_until(self._look, clock=SystemClock(), deadline_s=timeout_s, interval_s=0.05, what="supervisord")
        if late is not None:
            raise Retryable(
                f"supervisord does not run after {timeout_s:.0f} s; last seen: {late}",
                stage="service",
                error_class=ErrorClass.INTERNAL,
                next_step=f"read {self.paths.logs / 'supervisord.log'}",
            )

    def stop(self, *, timeout_s: float = 90) -> bool:
        """Stop everything in reverse order and wait until supervisord is gone; False where nothing ran."""
        process = self.process()
        if process is None:
            return False
        process.terminate()
        _gone, alive = psutil.wait_procs([process], timeout=timeout_s)
        if alive:
            raise Permanent(
                f"supervisord (pid {process.pid}) did not stop within {timeout_s:.0f} s",
                stage="service",
                error_class=ErrorClass.INTERNAL,
                next_step=f"read {self.paths.logs / 'supervisord.log'}",
            )
        return True

    def process(self) -> psutil.Process | None:
        """The live supervisord of this project; the pid file alone is not believed, the command line must fit."""
        try:
            process = psutil.Process(int(self.paths.supervisor_pid.read_text()))
            ours = str(self.paths.supervisor_config) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return process if ours else None

    def status(self) -> list[ProgramStatus]:
        """One entry per program, in order of priority; empty where supervisord is down."""
        if not self.running():
            return []
        with self._rpc() as rpc:
            entries = {entry["name"]: entry for entry in rpc.getAllProcessInfo()}
        return [_status(entries[program.name]) for program in PROGRAMS if program.name in entries]


def _status(entry: Mapping[str, Any]) -> ProgramStatus:
    up = entry["statename"] == "RUNNING"
    return ProgramStatus(
        name=entry["name"],
        state=entry["statename"].lower(),
        pid=entry["pid"],
        uptime_s=entry["now"] - entry["start"] if up else 0,
        rss_mib=_rss_mib(entry["pid"]) if up else 0,
    )


def _rss_mib(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        total = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0
    return int(total // (1 << 20))
