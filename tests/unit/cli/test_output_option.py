"""`-o json` everywhere; `--json`, its name before, means the same and is not offered."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.cli import main as cli
from infraflux.cli.main import COMMANDS

ROOT = Path(__file__).parents[3]
LISTS = {
    "release list": ["release", "list"],
    "promotion status": ["promotion", "status"],
    "drift show": ["drift", "show"],
    "lab status": ["lab", "status", "--state-dir", "none"],
}
WORDS = {"-o": ["-o", "json"], "--output": ["--output", "json"], "--json": ["--json"]}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("option", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("words", LISTS.values(), ids=LISTS)
def test_json_of_every_list(words: list[str], option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.run([*words, *option])
    printed = capsys.readouterr()
    assert isinstance(json.loads(printed.out), list | dict), printed.err


def test_the_same_document_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["promotion", "status", "-o", "json"])
    as_json = json.loads(capsys.readouterr().out)
    cli.run(["promotion", "status", "-o", "yaml"])
    assert YAML(typ="safe").load(capsys.readouterr().out) == as_json != []


@pytest.mark.parametrize("words", [["doctor"], ["status"], *LISTS.values()], ids=lambda words: " ".join(words[:2]))
def test_the_help_names_one_option_only(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--output" in shown
    assert "--json" not in shown


def test_an_output_that_is_a_path_takes_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert "render" in COMMANDS
    assert cli.run(["render", "dev/dev-1", "-o", "x", "--json"]) == 2
    assert "No such option" in capsys.readouterr().err
