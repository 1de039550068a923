"""The command line turns every outcome into an exit code and at most one message."""

from __future__ import annotations

import pytest
import typer

from infraflux.cli import main as cli
from infraflux.core.errors import Permanent

subject = typer.Typer()


@subject.command()
def fail() -> None:
    """Fail as an adapter would."""
    raise Permanent("no [such] cluster", cluster="dev/x", next_step="infraflux config list")


@subject.command()
def interrupt() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def alone(name: str = "you") -> None:
    """Greet."""
    typer.echo(f"hello {name}")


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "subject": ("tests_cli_subject:subject", "A group"),
        "alone": ("tests_cli_subject:alone", "A single command"),
        "heavy": ("no.such.module:app", "Must not be imported for the others"),
    }
    targets = {"tests_cli_subject:subject": subject, "tests_cli_subject:alone": alone}
    monkeypatch.setattr(cli, "COMMANDS", table)
    monkeypatch.setattr(cli, "_load", lambda path: targets[path])


@pytest.mark.parametrize(
    ("argv", "code", "out", "err"),
    [
        pytest.param(["--version"], 0, "infraflux ", "", id="version"),
        pytest.param(["--help"], 0, "Must not be imported", "", id="help lists what it does not import"),
        pytest.param(["alone", "--name", "me"], 0, "hello me", "", id="function"),
        pytest.param(["subject", "fail"], 1, "", "error: [dev/x] no [such] cluster", id="user's mistake"),
        pytest.param(["subject", "interrupt"], 130, "", "", id="ctrl-c"),
        pytest.param(["nonsense"], 2, "", "No such command", id="unknown subject"),
    ],
)
def test_exit_code_and_message(
    argv: list[str], code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(argv) == code
    seen = capsys.readouterr()
    assert out in seen.out
    assert err in seen.err
    assert "Traceback" not in seen.err
