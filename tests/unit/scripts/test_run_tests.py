"""The closing line counts what pytest says, and a run that dies is never counted as passed."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run_tests = load("run_tests")
check_sizes = load("check_sizes")


@pytest.mark.parametrize(
    ("xml", "exit_code", "expected"),
    [
        pytest.param('<testsuite tests="5" failures="1" errors="1" skipped="1"/>', 1, "2 passed, 2 failed, 1 skipped"),
        pytest.param('<testsuite tests="3" failures="0" errors="0" skipped="0"/>', 0, "3 passed, 0 failed"),
        pytest.param('<testsuite tests="3" failures="0" errors="0" skipped="0"/>', 3, "3 passed, 1 failed"),
        pytest.param(None, 5, "0 passed, 0 failed"),
        pytest.param(None, -9, "0 passed, 1 failed"),
    ],
)
def test_tally_of_a_suite(xml: str | None, exit_code: int, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    if xml is not None:
        path.write_text(f"<testsuites>{xml}</testsuites>")
    assert str(run_tests.read_junit(path, exit_code=exit_code)) == expected


def test_every_test_directory_is_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zebra", "lab", "unit", "bench", "fixtures"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "test_x.py").touch()
    (tmp_path / "lab" / "test_y.py").touch()
    monkeypatch.setattr(run_tests, "TESTS", tmp_path)
    assert run_tests.suites() == ["unit", "lab", "lab/deep", "zebra"]


def test_closing_line_comes_last_and_names_what_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad = (sys.executable, "-c", "print('said')"), (sys.executable, "-c", "raise SystemExit(3)")
    monkeypatch.setattr(run_tests, "CHECKS", (("good", good), ("bad", bad)))
    monkeypatch.setattr(run_tests, "TOOLS", ("tools", good))
    monkeypatch.setattr(run_tests, "suites", lambda: ["unit"])
    monkeypatch.setattr(run_tests, "run_suite", lambda name, lane: run_tests.Tally(passed=40, skipped=2))
    assert run_tests.main([]) == 1
    shown = capfd.readouterr().out.splitlines()
    assert shown[-2:] == ["failed: bad", "42 passed, 1 failed, 2 skipped"]
    assert "said" in shown


def test_every_suite_runs_once_in_lanes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, str]] = []
    both = threading.Barrier(2, timeout=20)

    def run_suite(name: str, *, lane: str) -> object:
        if name in ("a", "b"):
            both.wait()  # passes only where two run at a time
        ran.append((name, lane))
        return run_tests.Tally(passed=1)

    monkeypatch.setattr(run_tests, "run_suite", run_suite)
    assert list(run_tests.run_suites(["a", "b", "c", "d"])) == ["tests/a", "tests/b", "tests/c", "tests/d"]
    assert sorted(name for name, _lane in ran) == ["a", "b", "c", "d"]
    assert len({lane for name, lane in ran if name in ("a", "b")}) == 2


def test_a_suite_that_cannot_be_run_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_suite(name: str, *, lane: str) -> object:
        raise OSError(name)

    monkeypatch.setattr(run_tests, "run_suite", run_suite)
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    assert run_tests.run_suites(["a"])["tests/a"].failed == 1


@pytest.mark.parametrize(
    ("decorator", "body", "finding"),
    [
        pytest.param("", 59, None, id="function at the limit"),
        pytest.param("", 60, "function f has 61 lines", id="function over"),
        pytest.param("@flow\n", 40, None, id="flow at the limit"),
        pytest.param("@flow(name='x')\n", 41, "flow f has a body of 41", id="flow over"),
    ],
)
def test_sizes(decorator: str, body: int, finding: str | None) -> None:
    source = f"{decorator}def f():\n" + "    x = 1\n" * body
    found = list(check_sizes.too_long_in(source, name="a.py"))
    assert len(found) == (finding is not None)
    assert finding is None or finding in found[0]


def test_long_file() -> None:
    assert list(check_sizes.too_long_in("x = 1\n" * 401, name="a.py")) == ["a.py:1: file has 401 lines, at most 400"]
