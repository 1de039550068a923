"""One file per mistake, with the exact messages; one file per thing that is right, with what it means.

A fixture is laid over the small fleet in tests/fixtures/fleet at the path in its `# file:` line.
"""

import json
import shutil
from pathlib import Path

import pytest

from infraflux.config.effective import settings
from infraflux.config.load import examine
from infraflux.config.problems import dotted

FIXTURES = Path(__file__).parents[2] / "fixtures"
INVALID = sorted((FIXTURES / "invalid").iterdir())
VALID = sorted((FIXTURES / "valid").iterdir())


def header(fixture: Path, key: str) -> list[str]:
    lines = fixture.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    return [line.removeprefix(f"# {key}: ") for line in lines if line.startswith(f"# {key}: ")]


def placed(fixture: Path, tmp_path: Path) -> Path:
    root = tmp_path / "fleet"
    shutil.copytree(FIXTURES / "fleet", root)
    target = root / header(fixture, "file")[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(fixture, target)
    return root


def test_there_are_enough_of_them():
    assert len(INVALID) >= 40
    assert len(VALID) >= 8


def test_the_fleet_below_the_fixtures_is_right():
    assert examine(FIXTURES / "fleet").problems == ()


@pytest.mark.parametrize("fixture", INVALID, ids=lambda file: file.stem)
def test_a_mistake_is_told_exactly(fixture, tmp_path):
    problems = examine(placed(fixture, tmp_path)).problems
    expected = header(fixture, "expect")
    assert expected
    assert [str(problem) for problem in problems] == expected


@pytest.mark.parametrize("fixture", VALID, ids=lambda file: file.stem)
def test_what_is_right_means_what_it_says(fixture, tmp_path):
    examined = examine(placed(fixture, tmp_path))
    assert examined.problems == ()
    key = "/".join(Path(header(fixture, "file")[0]).with_suffix("").parts[-2:])
    key = key if key in examined.keys else "dev/dev-1"
    assert [str(warning) for warning in examined.warnings[key]] == header(fixture, "warn")
    found = settings(examined.fleet.cluster(key), examined.fleet.trees[key])
    for expectation in header(fixture, "expect"):
        if expectation.endswith(" is not there"):
            gone = expectation.removesuffix(" is not there")
            assert not [path for path in found if dotted(path).startswith(gone)], expectation
        else:
            path, _, value = expectation.partition(" = ")
            assert _value(found, path) == json.loads(value), expectation


def _value(found, path):
    exact = {dotted(one): setting.value for one, setting in found.items()}
    if path in exact:
        return exact[path]
    return {
        dotted(one)[len(path) + 1 :].strip('"'): s.value
        for one, s in found.items()
        if dotted(one).startswith(path + ".")
    }


@pytest.mark.parametrize("fixture", INVALID, ids=lambda file: file.stem)
def test_a_line_is_named_for_every_mistake_inside_a_file(fixture):
    for message in header(fixture, "expect"):
        file, *_ = message.split(": ")
        whole_file = "is no name" in message or "rename it" in message
        assert whole_file or file.rpartition(":")[2].isdigit(), message
