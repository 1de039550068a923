"""A run that was told to stop and does not is ended by the fork server, whoever told it."""

import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.clock import FakeClock

from infraflux.service import launch
from infraflux.service.forkserver import GRACE_S, ForkServer, Run, own_modules, renew, sources

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock) -> Iterator[ForkServer]:
    made = ForkServer(tmp_path / "forkserver.sock", clock=clock)
    yield made
    made.selector.close()
    made.listener.close()


def test_a_passed_on_sigterm_has_a_grace(server: ForkServer, clock: FakeClock) -> None:
    clock.now = 100.0
    argv = [sys.executable, "-c", DEAF]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is deaf from here on
        mine, launcher = socket.socketpair()
        run = Run(pid=process.pid, pidfd=os.pidfd_open(process.pid), connection=mine)
        server.adopt(run)
        launcher.sendall(bytes([signal.SIGTERM]))
        server.signalled(run)
        assert run.kill_at == 100.0 + GRACE_S
        clock.now = 100.0 + GRACE_S
        server.kill_overdue()
        assert process.poll() is None
        clock.now += 1
        server.kill_overdue()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        server.finished(run)
        assert launch.REPLY.unpack(launcher.recv(launch.REPLY.size)) == (-signal.SIGKILL,)
        launcher.close()
        process.returncode = -signal.SIGKILL  # the fork server has reaped it


def test_other_signals_are_only_passed_on(server: ForkServer) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        mine, launcher = socket.socketpair()
        run = Run(pid=process.pid, pidfd=os.pidfd_open(process.pid), connection=mine)
        server.adopt(run)
        launcher.sendall(bytes([signal.SIGCONT]))
        server.signalled(run)
        assert run.kill_at is None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        server.finished(run)
        launcher.close()
        process.returncode = -signal.SIGKILL


UNREAD = """
import os, sys
from infraflux.service.forkserver import outlive_readers
outlive_readers()
input()
for stream in (sys.stdout, sys.stderr):
    print("nobody reads this", file=stream, flush=True)
with open(sys.argv[1], "w") as file:
    file.write("done")
"""


def test_a_run_whose_reader_is_gone_goes_on_until_it_is_told_to_stop(tmp_path: Path) -> None:
    done = tmp_path / "done"
    argv = [sys.executable, "-c", UNREAD, str(done)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.wait() == 0
    assert done.read_text() == "done"


def test_what_a_run_prints_is_read(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", UNREAD, str(tmp_path / "done")]
    done = subprocess.run(argv, input="go\n", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("nobody reads this\n",) * 2


def test_a_package_is_imported_again_after_an_edit_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "edited_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = importlib.import_module("edited_package.part")
    before = sources("edited_package")
    renew("edited_package", before)
    assert importlib.import_module("edited_package.part") is first
    (package / "part.py").write_text("VALUE = 22\n")
    renew("edited_package", before)
    assert importlib.import_module("edited_package.part").VALUE == 22
    (package / "more.py").touch()
    assert sources("edited_package").keys() - before.keys() == {str(package / "more.py")}


def test_what_runs_stand_on_is_imported_ahead() -> None:
    found = own_modules()
    assert {"infraflux.config.load", "infraflux.operations.promotion", "infraflux.operations.bootstrap"} <= set(found)
    assert not [name for name in found if name.startswith(("infraflux_lab", "infraflux.cli"))]
