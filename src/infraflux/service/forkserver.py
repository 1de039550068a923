"""The fork server: one process with Prefect imported, that forks a child per flow run.

A flow run started the ordinary way imports Prefect for some 3 s. Here the import is done once. The server has a single
thread, always, since only such a process may fork safely. It keeps no state a run needs: it can be restarted any time
it is idle, and the runs it loses are marked crashed by the watchdog.

Protocol (`infraflux.service.launch` is the other side): a request is a length, a JSON object and three file
descriptors; then one byte per signal comes in; one signed 32-bit exit status goes out. A closed connection means the
worker gave up or died: the run gets SIGTERM, and SIGKILL after `GRACE_S`.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infraflux.core.clock import Clock, SystemClock
from infraflux.service import launch

GRACE_S = 40.0
"""Longer than the 25 s that a run may take to stop Terraform cleanly."""

MAX_REQUEST_BYTES = 4 << 20

PRELOAD = (
    "prefect",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.artifacts",
    "prefect.concurrency.sync",
    "prefect.deployments.steps.core",
    "prefect.events",
    "prefect.flow_runs",
    "prefect.input",
    "prefect.runtime",
    "prefect._internal.metrics",
    "prefect_shell",
    "aiohttp",
    "cryptography.x509",
    "kubernetes.client",
    "proxmoxer",
    "psutil",
    "pydantic.v1",
    "pyrage",
    "python_terraform",
    "requests",
    "ruamel.yaml",
    "tenacity",
)
"""Third-party modules. The project's flows and tasks are read afresh by every run, so an edit is never missed."""

OWN = "infraflux"
"""The package the flows stand on; imported ahead as well, and again by a run that finds one of its files edited."""

NOT_FOR_RUNS = ("infraflux.cli", "infraflux_lab", "infraflux.service")


@dataclass
class Run:
    """One forked flow run and the connection of its launcher."""

    pid: int
    pidfd: int
    connection: socket.socket | None
    kill_at: float | None = None


@dataclass(frozen=True)
class Request:
    argv: Sequence[str]
    cwd: str
    env: dict[str, str]
    streams: Sequence[int]


class Stream(io.FileIO):
    """A standard stream whose reader may end first.

    A worker reads what its runs print. When it dies, the signal that ends them has to be what ends them: Prefect's
    console leaves the process with SystemExit at the first line that cannot be written.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """Put such streams in place of standard output and error, before anybody keeps a reference to them."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(Stream(descriptor, "wb", closefd=False))
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, text)


Sources = dict[str, tuple[int, int]]
"""Modification time (ns) and size of files."""


def sources(package: str) -> Sources:
    """What the files of a package look like now."""
    (root,) = importlib.import_module(package).__path__
    found = {}
    for path in Path(root).rglob("*.py"):
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed
            about = path.stat()
            found[str(path)] = (about.st_mtime_ns, about.st_size)
    return found


def renew(package: str, before: Sources) -> None:
    """Forget a package that was edited since, so that it is imported anew."""
    if sources(package) == before:
        return
    for name in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def own_modules() -> list[str]:
    """Every module of ours that a run may need."""
    (root,) = importlib.import_module(OWN).__path__
    found = (module.name for module in pkgutil.walk_packages([root], f"{OWN}."))
    return [name for name in found if not name.startswith(NOT_FOR_RUNS)]


def preload() -> None:
    """Import what every run needs; a module that fails to import will be reported by the run that needs it."""
    for name in (*PRELOAD, *own_modules()):
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001 - the run itself gives the better error
            traceback.print_exc()
    gc.collect()
    # Keeps the collector from touching, and so copying, the pages shared with the children.
    gc.freeze()


def read_request(connection: socket.socket) -> Request:
    """Read one request; ValueError where it is none."""
    data, streams, _flags, _address = socket.recv_fds(connection, 65536, 3)
    (size,) = launch.HEADER.unpack(data[: launch.HEADER.size])
    if size > MAX_REQUEST_BYTES or len(streams) != 3:
        raise ValueError("not a request")
    body = bytearray(data[launch.HEADER.size :])
    while len(body) < size:
        part = connection.recv(65536)
        if not part:
            raise ValueError("request cut short")
        body += part
    value: dict[str, Any] = json.loads(body)
    return Request(argv=value["argv"], cwd=value["cwd"], env=value["env"], streams=streams)


def become_run(request: Request, before: Sources) -> None:
    """In the child: take over streams, environment and directory, then run Prefect's engine as the main program."""
    renew(OWN, before)
    os.setsid()
    launch.die_with_parent()
    for target, stream in enumerate(request.streams):
        os.dup2(stream, target)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request.env)
    os.chdir(request.cwd)
    sys.argv = ["prefect.engine", *request.argv]
    sys.path[0] = request.cwd
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - preloaded, and only runs need it

    refresh_global_settings_context()
    with warnings.catch_warnings():
        # runpy warns that the module is imported already, which is the point.
        warnings.simplefilter("ignore", RuntimeWarning)
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


class ForkServer:
    """The loop: accept, fork, pass signals on, report exits."""

    def __init__(self, socket_path: Path, *, clock: Clock) -> None:
        self.clock = clock
        self.selector = selectors.DefaultSelector()
        self.runs: dict[int, Run] = {}
        self.stopping = False
        self.becoming: Request | None = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        socket_path.unlink(missing_ok=True)
        self.listener.bind(str(socket_path))
        socket_path.chmod(0o600)
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def serve(self) -> Request | None:
        """Until SIGTERM; then no new run, and those that run get SIGTERM and their grace.

        Returns None in the server, and in each forked child the request it is to become: the child leaves through
        the main program, so the interpreter ends it as it ends any other (threads, exit handlers, log flush).
        """
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        while not (self.stopping and not self.runs):
            for key, _events in self.selector.select(timeout=0.5):
                key.data()
                if self.becoming is not None:
                    return self.becoming
            self.kill_overdue()
        return None

    def stop(self, _number: int, _frame: object) -> None:
        if not self.stopping:
            self.stopping = True
            self.selector.unregister(self.listener)
            self.listener.close()
        for run in self.runs.values():
            self.terminate(run)

    def accept(self) -> None:
        connection, _address = self.listener.accept()
        connection.settimeout(5)
        try:
            request = read_request(connection)
        except (OSError, ValueError, KeyError, struct.error):
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self.forget(connection)
            self.becoming = request
            return
        for stream in request.streams:
            os.close(stream)
        self.adopt(Run(pid=pid, pidfd=os.pidfd_open(pid), connection=connection))

    def forget(self, connection: socket.socket) -> None:
        """In the child: let go of everything that belongs to the server."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        self.listener.close()
        connection.close()
        for other in self.runs.values():
            os.close(other.pidfd)
            if other.connection:
                other.connection.close()

    def adopt(self, run: Run) -> None:
        self.runs[run.pid] = run
        assert run.connection is not None
        self.selector.register(run.connection, selectors.EVENT_READ, lambda: self.signalled(run))
        self.selector.register(run.pidfd, selectors.EVENT_READ, lambda: self.finished(run))

    def signalled(self, run: Run) -> None:
        """A signal to pass on, or the launcher's death."""
        if run.connection is None:
            return
        try:
            numbers = run.connection.recv(16)
        except OSError:
            numbers = b""
        for number in numbers:
            # The launcher lives on and waits, so a run that loses its SIGTERM has to be ended from here: the exception
            # it is turned into is swallowed where it hits a hook around a fork, and the run would go on for ever.
            if number == signal.SIGTERM and run.kill_at is None:
                self.terminate(run)
            else:
                os.kill(run.pid, number)
        if not numbers:
            self.drop_connection(run)
            self.terminate(run)

    def drop_connection(self, run: Run) -> None:
        if run.connection is not None:
            self.selector.unregister(run.connection)
            run.connection.close()
            run.connection = None

    def terminate(self, run: Run) -> None:
        if run.kill_at is None:
            run.kill_at = self.clock.monotonic() + GRACE_S
            os.kill(run.pid, signal.SIGTERM)

    def kill_overdue(self) -> None:
        for run in self.runs.values():
            if run.kill_at is not None and self.clock.monotonic() > run.kill_at:
                os.killpg(run.pid, signal.SIGKILL)

    def finished(self, run: Run) -> None:
        _pid, status = os.waitpid(run.pid, 0)
        self.selector.unregister(run.pidfd)
        os.close(run.pidfd)
        del self.runs[run.pid]
        if run.connection is not None:
            # The launcher may have died in the meantime; then nobody wants to know.
            with contextlib.suppress(OSError):
                run.connection.sendall(launch.REPLY.pack(os.waitstatus_to_exitcode(status)))
            self.drop_connection(run)


def main() -> None:
    """Preload, then serve on the socket in argv; a forked child leaves the loop and becomes a run."""
    outlive_readers()
    before = sources(OWN)
    preload()
    print(f"fork server ready: pid {os.getpid()}", flush=True)  # noqa: T201 - the service log
    request = ForkServer(Path(sys.argv[1]), clock=SystemClock()).serve()
    if request is not None:
        become_run(request, before)


if __name__ == "__main__":
    main()
