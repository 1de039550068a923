"""Locks on this machine: who holds them, how long somebody waits, and what a killed holder leaves."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.clock import FakeClock

from infraflux.core.locks import Taken, hold, holder_of, is_held, lock_file, one_at_a_time, take

HOLDER = """
import sys
from pathlib import Path
from infraflux.core.locks import take
lock = take(Path(sys.argv[1]), who="process 4711")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lock_file(tmp_path, "dev/dev-1")


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is killed."""
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_the_first_is(path: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):  # trying it does not make anybody forget the name
        with pytest.raises(Taken) as taken:
            take(path, who="me")
        assert taken.value.holder == "process 4711"
    assert holder_of(path) == "process 4711"
    assert is_held(path.parent, "dev/dev-1")


def test_a_killed_holder_is_in_nobodys_way(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert holder_of(path) is None
    with hold(path, who="me"):
        assert holder_of(path) == "me"
    assert holder_of(path) is None


def test_who_waits_gets_the_lock_of_a_holder_that_is_killed(path: Path, holder: subprocess.Popen[str]) -> None:
    clock, heard = FakeClock(), list[str]()

    def pass_time(_now: float) -> None:
        if len(clock.slept) == 3:
            holder.kill()
            holder.wait()

    clock.on_sleep = pass_time
    with hold(path, who="me", wait_s=60, poll_s=1, on_wait=heard.append, clock=clock):
        assert holder_of(path) == "me"
    assert (clock.slept, heard) == ([1, 1, 1], ["process 4711"])


def test_a_wait_ends_at_its_deadline(path: Path, holder: subprocess.Popen[str]) -> None:
    clock = FakeClock()
    with pytest.raises(Taken, match="4711"), hold(path, who="me", wait_s=2, poll_s=0.5, clock=clock):
        pytest.fail("two holders")
    assert clock.now == 2


def test_two_in_one_process_exclude_each_other(path: Path) -> None:
    with hold(path, who="one"), pytest.raises(Taken, match="one"):
        take(path, who="other")


def test_looking_takes_nothing(path: Path) -> None:
    assert holder_of(path) is None
    assert not path.exists()
    take(path, who="me").release()
    assert (holder_of(path), path.stat().st_mode & 0o777) == (None, 0o600)


def test_work_is_done_by_one(tmp_path: Path) -> None:
    with (
        one_at_a_time(tmp_path, "a/b", who="one") as mine,
        one_at_a_time(tmp_path, "a/b", who="other") as busy,
        one_at_a_time(tmp_path, "a/c", who="other") as free,
    ):
        assert (mine, busy, free) == ("", "one", "")


def test_work_that_fails_is_given_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), one_at_a_time(tmp_path, "a/b", who="one"):
        raise ZeroDivisionError
    with one_at_a_time(tmp_path, "a/b", who="other") as busy:
        assert busy == ""
