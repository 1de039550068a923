"""Building: what is there stays, what is missing is made, and nothing unproven is ever put in place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infraflux.adapters.tools.build import explain
from infraflux.adapters.tools.install import default_jobs, read_receipt
from infraflux.adapters.tools.progress import Compiling, Event, Failed, Fetching, Installed, Started, Taken
from infraflux.core.errors import ErrorClass, Permanent

from .conftest import PINS, Machine, script

ALPHA, BETA, GAMMA = "example.org/one/cmd/alpha", "example.org/one/cmd/beta", "example.org/two"


def test_builds_what_is_missing_and_then_nothing(machine: Machine) -> None:
    first = machine.install("alpha", "beta", "gamma")
    assert sorted(first.built) == ["alpha", "beta", "gamma"]
    assert machine.installed.locate("alpha").read_text() == script("alpha v1.2.3")
    builds = len(machine.go_calls("build"))

    second = machine.install("alpha", "beta", "gamma")
    assert (second.built, second.taken) == ({}, ["alpha", "beta", "gamma"])
    assert len(machine.go_calls("build")) == builds


def test_program_on_path_is_not_built(machine: Machine) -> None:
    machine.put("gamma", script("gamma v4.4.9"))
    report = machine.install("gamma", "either")
    assert (report.taken, report.built, machine.built_packages()) == (["gamma", "either"], {}, [])


def test_too_old_program_on_path_is_replaced_by_a_build(machine: Machine) -> None:
    machine.put("given-cli", script("Given v1.8.5"))
    report = machine.install("either")
    assert list(report.built) == ["gamma"]
    started = next(event for event in machine.events if isinstance(event, Started))
    assert "1.8.5, wanted >=1.9,<2" in started.reason


def test_program_that_cannot_be_built_says_so_before_anything_is_built(machine: Machine) -> None:
    with pytest.raises(Permanent, match="given is not on PATH and is never built"):
        machine.install("alpha", "given")
    assert machine.built_packages() == []


def test_go_sees_its_own_settings_only(machine: Machine) -> None:
    machine.install("alpha")
    call = machine.go_calls("build")[0]
    environ = call["env"]
    assert (environ["GOFLAGS"], environ["CGO_ENABLED"], environ["GOTOOLCHAIN"]) == ("-mod=readonly", "0", "local")
    assert environ["GOPROXY"] == "https://proxy.example.org"
    assert "GOOS" not in environ
    assert "-X example.org/one/version.tag=v1.2.3" in " ".join(call["argv"])
    assert Path(call["cwd"]) == machine.root / "tools" / "one"


def test_wrong_version_is_refused(machine: Machine) -> None:
    machine.makes(ALPHA, content=script("alpha v1.2.4"))
    report = machine.install("alpha", "beta")
    assert "calls itself 1.2.4 instead of 1.2.3" in report.failed["alpha"].message
    assert list(report.built) == ["beta"], "one failure does not stop the others"
    assert not machine.installed.built_path(machine.installed.pins.get("alpha")).exists()


def test_program_that_does_not_run_is_refused(machine: Machine) -> None:
    machine.makes(ALPHA, content="#!/bin/sh\nexit 3\n")
    assert "calls itself nothing" in machine.install("alpha").failed["alpha"].message


def test_provider_is_proven_by_its_build_information(machine: Machine) -> None:
    machine.makes("example.org/plug", content="example.org/plug\tv0.9.1\th1:x=")
    assert "calls itself 0.9.1 instead of 0.9.0" in machine.install("plug").failed["plug"].message


def test_files_of_the_module_are_kept_beside_the_program(machine: Machine) -> None:
    source = machine.root / "module"
    (source / "hack").mkdir(parents=True)
    (source / "hack" / "x.toml").write_text("version = 3\n")
    pins = machine.root / "tools" / "pins.yaml"
    files = "    files: {module: example.org/two, take: [hack/x.toml]}\n    tags: [minimal, small]\n"
    pins.write_text(PINS.replace("    package: example.org/two\n", f"    package: example.org/two\n{files}"))
    machine.makes("example.org/two", compiles=[str(source)])  # what `go list -m` prints as the module's directory
    assert not machine.install("gamma").failed
    assert (machine.installed.locate("gamma").parent / "files" / "x.toml").read_text() == "version = 3\n"
    assert all("-tags=minimal,small" in call["argv"] for call in machine.go_calls("build"))


def test_changed_module_is_built_again(machine: Machine) -> None:
    machine.install("alpha")
    before = read_receipt(machine.installed.locate("alpha"))
    (machine.root / "tools" / "one" / "go.sum").write_text("example.org/library v1.0.1 h1:y=\n")
    report = machine.install("alpha")
    after = read_receipt(machine.installed.locate("alpha"))
    assert list(report.built) == ["alpha"]
    assert before is not None
    assert after is not None
    assert before.recipe != after.recipe


def test_crash_between_program_and_receipt_is_repaired(machine: Machine) -> None:
    machine.install("alpha")
    (machine.installed.locate("alpha").parent / "receipt.json").unlink()
    assert list(machine.install("alpha").built) == ["alpha"]
    assert machine.install("alpha").built == {}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and a test run may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupted_build_leaves_nothing_and_is_resumed(machine: Machine, interruptible: None) -> None:
    machine.makes(BETA, hang=True)

    def interrupt(event: Event) -> None:
        if isinstance(event, Compiling) and event.name == "beta":
            os.kill(os.getpid(), signal.SIGINT)

    programs = machine.installed.pins.select(names=["alpha", "beta"])
    with pytest.raises(KeyboardInterrupt):
        machine.installer(interrupt).install(programs)
    assert not psutil.pid_exists(machine.go_calls("build")[-1]["pid"]), "the compiler is gone"
    assert not machine.installed.built_path(machine.installed.pins.get("beta")).exists()

    machine.makes(BETA, hang=False)
    report = machine.install("alpha", "beta")
    assert (report.taken, list(report.built)) == (["alpha"], ["beta"])
    assert not list(machine.places.tools.glob(".building/*"))


def test_programs_of_one_module_are_built_one_after_the_other(machine: Machine) -> None:
    running: list[str] = []
    most = 0

    def watch(event: Event) -> None:
        nonlocal most
        if isinstance(event, Started):
            running.append(event.name)
            most = max(most, len([name for name in running if name in ("alpha", "beta")]))
        if isinstance(event, Installed):
            running.remove(event.name)

    machine.installer(watch, jobs=2).install(machine.installed.pins.select(names=["alpha", "beta", "gamma"]))
    assert most == 1


def test_never_more_than_two_at_once(machine: Machine) -> None:
    assert machine.installer(jobs=9).jobs == 2
    assert default_jobs() in (1, 2)


def test_progress_counts_packages(machine: Machine) -> None:
    machine.install("alpha")
    kinds = [type(event) for event in machine.events if not isinstance(event, Taken)]
    assert kinds[-6:] == [Started, Fetching, Compiling, Compiling, Compiling, Installed]
    steps = [(event.done, event.total, event.package) for event in machine.events if isinstance(event, Compiling)]
    assert steps == [(1, 3, "example.org/library"), (2, 3, "example.org/one"), (3, 3, ALPHA)]


def test_failed_build_shows_what_go_said(machine: Machine) -> None:
    machine.makes(GAMMA, fails="main.go:3:1: undefined: Thing")
    report = machine.install("gamma")
    error = report.failed["gamma"]
    assert "undefined: Thing" in error.message
    assert error.error_class is ErrorClass.INTERNAL
    assert any(isinstance(event, Failed) and event.name == "gamma" for event in machine.events)


@pytest.mark.parametrize(
    ("said", "exit_code", "error_class", "retryable", "next_step"),
    [
        ("write /tmp/x: no space left on device", 1, ErrorClass.CAPACITY, True, "disk space"),
        ("compile: signal: killed", 1, ErrorClass.CAPACITY, True, "--jobs 1"),
        ("", -9, ErrorClass.CAPACITY, True, "--jobs 1"),
        ("dial tcp 10.0.0.1:443: connect: connection refused", 1, ErrorClass.TRANSIENT, True, "network"),
        ("reading https://proxy/x.zip: 403 Forbidden", 1, ErrorClass.USER, False, "GOPROXY"),
        ("x.go:1:1: undefined: y", 1, ErrorClass.INTERNAL, False, "tools/one"),
    ],
)
def test_symptoms(
    machine: Machine, said: str, exit_code: int, error_class: ErrorClass, retryable: bool, next_step: str
) -> None:
    program = machine.installed.pins.get("alpha")
    error = explain(program, exit_code=exit_code, lines=[said] if said else [])
    assert (error.error_class, error.retryable) == (error_class, retryable)
    assert next_step in error.next_step


def test_whoever_runs_the_old_program_keeps_it(machine: Machine) -> None:
    machine.install("alpha")
    target = machine.installed.locate("alpha")
    with target.open() as old:
        (machine.root / "tools" / "one" / "go.sum").write_text("changed\n")
        machine.makes(ALPHA, content=script("alpha v1.2.3") + "# new\n")
        machine.install("alpha")
        assert old.read() == script("alpha v1.2.3")
    assert target.read_text().endswith("# new\n")


def test_wall_time_is_reported(machine: Machine) -> None:
    now = iter(range(0, 1000, 7))
    report = machine.installer(clock=lambda: float(next(now))).install(machine.installed.pins.select(names=["alpha"]))
    assert report.built["alpha"] == 7.0
    assert report.wall_s > report.built["alpha"]
