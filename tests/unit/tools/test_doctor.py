"""The doctor: one line each, and every line that is not fine says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infraflux.cli import doctor
from infraflux.cli import main as cli
from infraflux.cli.doctor import GIB, State

from .conftest import Machine, script


@pytest.mark.parametrize(
    ("output", "state", "detail"),
    [
        pytest.param("git version 2.43.0\n", State.OK, "2.43.0", id="fine"),
        pytest.param("git version 2.39.5 (Apple Git-154)\n", State.OK, "2.39.5", id="vendor"),
        pytest.param("git version 2.9.1\n", State.MISSING, "2.9.1 is too old", id="not compared as text"),
        pytest.param(None, State.MISSING, "not on PATH", id="none"),
    ],
)
def test_git(output: str | None, state: State, detail: str) -> None:
    found = doctor.git(output)
    assert (found.state, found.detail) == (state, detail)
    assert bool(found.next_step) is (state is not State.OK)


@pytest.mark.parametrize(("gib", "state"), [(2, State.NOTE), (3.8, State.OK), (64, State.OK)])
def test_memory(gib: float, state: State) -> None:
    assert doctor.machine(memory_bytes=int(gib * GIB), cores=2).state is state


def test_disk_of_a_directory_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "COLD_BUILD_DISK_GIB", 10**9)
    found = doctor.disk(tmp_path / "not" / "yet", to_build=1)
    assert found.state is State.NOTE
    assert f"at {tmp_path}" in found.detail
    monkeypatch.setattr(doctor, "RUN_DISK_GIB", 0)
    assert doctor.disk(tmp_path, to_build=0).state is State.OK


def test_address_that_is_not_ours() -> None:
    # TEST-NET-3: no machine has it.
    found = doctor.loopback("203.0.113.1")
    assert found.state is State.NOTE
    assert "config/environments" in found.next_step


def test_go_is_no_concern_when_nothing_is_to_be_built(machine: Machine) -> None:
    machine.put_go("1.20.1")
    assert doctor.go(machine.installed, to_build=0).state is State.OK
    found = doctor.go(machine.installed, to_build=3)
    assert (found.state, found.next_step) == (State.NOTE, "nothing: Go 1.27.3 is fetched from PyPI")


def test_lines_and_exit_code(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "this_machine", lambda: machine.installed)
    machine.put("given-cli", script("Given v1.8.5"))
    assert cli.run(["doctor"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("✗ alpha") and line.endswith("→ infraflux tools install alpha") for line in shown)
    assert any(line.startswith("✗ either") and "1.8.5, wanted >=1.9,<2" in line for line in shown)
    assert shown[-1] == "3 missing. All programs at once: infraflux tools install"

    machine.install("alpha", "plug", "either")
    assert cli.run(["doctor", "-o", "json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {each["state"] for each in findings if each["subject"] in ("alpha", "plug", "either")} == {"ok"}


def test_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.launcher().state is State.OK
    monkeypatch.setattr(doctor, "find_launcher", lambda: None)
    missing = doctor.launcher()
    assert (missing.state, missing.next_step) == (State.MISSING, "install util-linux")
