"""`infraflux tools …` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import psutil
import pytest
from ruamel.yaml import YAML

from infraflux.cli import main as cli
from infraflux.cli import tools

from .conftest import Machine, script


@pytest.fixture(autouse=True)
def _on_this_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "this_machine", lambda: machine.installed)


def test_install_prints_lines_and_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tools", "install", "alpha", "beta"]) == 0
    seen = capsys.readouterr()
    assert "alpha 1.2.3: building (not there yet)" in seen.err
    assert "beta 1.2.3: built in " in seen.err
    assert seen.out.startswith("tools: 2 built in ")
    assert cli.run(["tools", "install", "alpha", "beta"]) == 0
    assert capsys.readouterr().out == "tools: 2 there already\n"


def test_install_without_names_is_what_up_needs(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tools", "install"]) == 0
    assert sorted(machine.built_packages()) == ["example.org/one/cmd/alpha", "example.org/plug", "example.org/two"]


def test_failure_is_one_message(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.makes("example.org/two", fails="dial tcp: i/o timeout")
    assert cli.run(["tools", "install", "gamma", "alpha"]) == 1
    seen = capsys.readouterr()
    assert "1 built" in seen.out
    assert "1 failed (gamma)" in seen.out
    assert "gamma 4.5.6 could not be built" in seen.err
    assert "Traceback" not in seen.err


def test_sigterm_ends_the_compilers_and_says_how_to_go_on(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.makes("example.org/two", hang=True)

    def terminate_when_compiling() -> None:
        while not machine.go_calls("build"):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    helper = threading.Thread(target=terminate_when_compiling)
    helper.start()
    assert cli.run(["tools", "install", "gamma"]) == 130
    helper.join()
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not psutil.pid_exists(machine.go_calls("build")[0]["pid"])
    assert not (machine.places.tools / ".building").exists()


def test_unknown_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tools", "path", "delta"]) == 1
    assert "known: alpha, beta" in capsys.readouterr().err


def test_path_is_fit_for_scripts(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    where = machine.put("gamma", script("gamma v4.5.6"))
    assert cli.run(["tools", "path", "gamma"]) == 0
    assert capsys.readouterr().out == f"{where}\n"


def test_list_in_every_format(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.put("gamma", script("gamma v4.3.0"))
    outputs = {}
    for output in ("json", "yaml", "table"):
        assert cli.run(["tools", "list", "--output", output]) == 0
        outputs[output] = capsys.readouterr().out
    rows = json.loads(outputs["json"])
    assert rows == YAML(typ="safe", pure=True).load(outputs["yaml"])
    assert [row["name"] for row in rows] == list(machine.installed.pins.names)
    gamma = next(row for row in rows if row["name"] == "gamma")
    assert gamma["source"] == "missing"
    assert "is 4.3.0, wanted >=4.4,<5" in gamma["note"]
    assert "missing" in outputs["table"]
