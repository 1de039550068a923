"""Everything `make test` checks, in order, with one closing line `N passed, N failed[, N skipped]`.

Static checks first (seconds), then the outside programs the tests need, then pytest suite by suite. Each check counts
as one test. `python scripts/run_tests.py [SUITE…]` runs only those suites, without the static checks.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("types", ("mypy", "src", "flows", "tasks")),
    ("import contracts", ("lint-imports",)),
    ("sizes", (sys.executable, "scripts/check_sizes.py")),
)
TOOLS: tuple[str, tuple[str, ...]] = ("tools", ("infraflux", "tools", "install", "--group", "test"))

# Cheap suites first: a broken unit is seen before a minute of lab. Directories not named here run last, by name.
SUITE_ORDER = ("unit", "flows", "terraform", "manifests", "lab")
NOT_SUITES = ("fixtures", "bench")
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of one or many runs."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def say(line: str) -> None:
    """Print one line at once, in order with the output of the children."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_check(name: str, argv: tuple[str, ...]) -> Tally:
    """Run one command; its output streams through, its exit code is the result."""
    say(f"--- {name}")
    started = time.monotonic()
    code = subprocess.run(argv, cwd=ROOT, check=False).returncode
    say(f"--- {name}: {'ok' if code == 0 else f'FAILED (exit {code})'}, {time.monotonic() - started:.0f} s")
    return Tally(passed=1) if code == 0 else Tally(failed=1)


def read_junit(path: Path, *, exit_code: int) -> Tally:
    """Counts of a pytest run; a run that died, or failed without naming a test, is one failure."""
    if exit_code == NO_TESTS_COLLECTED:
        return Tally()
    if not path.exists():
        return Tally(failed=1)
    total = Tally()
    for suite in ET.parse(path).getroot().iter("testsuite"):  # noqa: S314 - written by our own pytest a moment ago
        tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        total += Tally(passed=max(tests - failed - skipped, 0), failed=failed, skipped=skipped)
    if exit_code != 0 and total.failed == 0:
        return total + Tally(failed=1)
    return total


def run_suite(name: str) -> Tally:
    """Run pytest on tests/NAME."""
    say(f"--- tests/{name}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="infraflux-tests-") as scratch:
        junit = Path(scratch) / "junit.xml"
        argv = [sys.executable, "-m", "pytest", f"tests/{name}", f"--junitxml={junit}"]
        code = subprocess.run(argv, cwd=ROOT, check=False).returncode
        tally = read_junit(junit, exit_code=code)
    say(f"--- tests/{name}: {tally}, {time.monotonic() - started:.0f} s")
    return tally


def suites() -> list[str]:
    """Every directory of tests/ that holds tests, in the order to run."""
    names = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")} - set(NOT_SUITES)
    rank = {name: position for position, name in enumerate(SUITE_ORDER)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def main(wanted: list[str]) -> int:
    """Run all; 1 when anything failed."""
    checks = [*(() if wanted else CHECKS), TOOLS]
    tallies = {name: run_check(name, argv) for name, argv in checks}
    tallies |= {f"tests/{name}": run_suite(name) for name in wanted or suites()}
    failed = [name for name, tally in tallies.items() if tally.failed]
    if failed:
        say(f"failed: {', '.join(failed)}")
    total = sum(tallies.values(), start=Tally())
    say(str(total))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
