"""`infraflux lab` without a lab."""

from pathlib import Path

import pytest

from infraflux.cli.main import run

MISTAKES = {
    "typo": (["fault", "add", "slow-tsk"], "did you mean slow-task?"),
    "parameter without a value": (["fault", "add", "slow-task", "--param", "seconds"], "not name=value: seconds"),
    "no lab": (["fault", "list"], "infraflux lab up"),
    "action on nothing": (["fault", "act", "edit-config", "--env", "dev", "a=b"], "machine=NAME"),
    "no spec": (["up", "--spec", "nowhere.yaml"], "nowhere.yaml is not there"),
    "no charts": (["up", "--charts", "nowhere"], "nowhere: no directory"),
    "not an address prefix": (["up", "--net", "10.0"], "net"),
}


@pytest.mark.parametrize(("argv", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(
    argv: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFRAFLUX_LAB_STATE_DIR", str(tmp_path / "lab"))
    assert run(["lab", *argv]) == 1
    shown = capsys.readouterr()
    assert text in shown.err
    assert "Traceback" not in shown.err + shown.out


def test_down_and_reset_without_a_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFRAFLUX_LAB_STATE_DIR", str(tmp_path / "lab"))
    assert run(["lab", "down"]) == 0
    assert run(["lab", "reset", "--yes"]) == 0
    assert "was not running" in capsys.readouterr().out


def test_every_fault_and_action_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "fault", "kinds"]) == 0
    shown = capsys.readouterr().out
    for name in ("reply-lost", "host-offline", "never-boots", "ha-move", "edit-config"):
        assert name in shown
