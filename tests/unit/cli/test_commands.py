"""Every subject in the table can be imported and explains itself."""

from __future__ import annotations

import pytest

from infraflux.cli.main import COMMANDS, run


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_subject(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"infraflux {name}" in shown


def test_summaries_fit_one_line() -> None:
    assert [name for name, (_, summary) in COMMANDS.items() if len(summary) > 70] == []
