"""Two installers: the second waits, then finds everything done; or says who is in the way."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.clock import FakeClock

from infraflux.adapters.tools.lock import only_installer
from infraflux.adapters.tools.progress import Note
from infraflux.core.errors import ErrorClass, Retryable

from .conftest import Machine

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write("process 4711")
file.flush()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(machine: Machine) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its stdin is closed."""
    path = machine.places.tools / "install.lock"
    path.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_installer_names_the_first(machine: Machine, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(Retryable, match="process 4711 is installing programs") as caught:
        machine.install("alpha", wait_s=0)
    assert caught.value.error_class is ErrorClass.CONFLICT
    assert machine.built_packages() == []


def test_second_installer_waits_and_builds_when_the_first_died(machine: Machine, holder: subprocess.Popen[str]) -> None:
    def listen(event: object) -> None:
        if isinstance(event, Note) and "waiting" in event.text:
            assert "process 4711" in event.text
            holder.kill()

    report = machine.installer(listen).install(machine.installed.pins.select(names=["alpha"]))
    assert list(report.built) == ["alpha"]


def test_what_the_first_built_is_not_built_again(machine: Machine, holder: subprocess.Popen[str]) -> None:
    """The second one planned a build, waited, and must look again."""
    elsewhere = Machine(root=machine.root, plan=machine.plan)

    def listen(event: object) -> None:
        if isinstance(event, Note) and "waiting" in event.text:
            holder.kill()
            holder.wait()
            elsewhere.install("alpha")

    report = machine.installer(listen).install(machine.installed.pins.select(names=["alpha"]))
    assert (report.taken, report.built) == (["alpha"], {})
    assert len(machine.built_packages()) == 1


def test_nothing_to_do_needs_no_lock(machine: Machine) -> None:
    machine.install("alpha")
    with (machine.places.tools / "install.lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert machine.install("alpha", wait_s=0).taken == ["alpha"]


def test_wait_is_bounded_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    clock = FakeClock()
    waits: list[str] = []
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(Retryable),
            only_installer(path, wait_s=10, on_wait=waits.append, clock=clock),
        ):
            pytest.fail("the lock was held")
    assert clock.now == 10.0
    assert len(waits) == 1, "said once, not on every poll"
