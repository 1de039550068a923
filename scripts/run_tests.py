"""Everything `make test` checks, in order, with one closing line `N passed, N failed[, N skipped]`.

Static checks first (seconds), then the outside programs the tests need, then pytest suite by suite, two at a time: most
of the lab's time is waiting. Each lane has loopback addresses of its own. Each check counts as one test.
`python scripts/run_tests.py [SUITE…]` runs only those suites (`unit`, `lab/talos`, ...), without the static checks.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("types", ("mypy", "src", "lab/src", "flows", "tasks")),
    ("import contracts", ("lint-imports",)),
    ("sizes", (sys.executable, "scripts/check_sizes.py")),
)
TOOLS: tuple[str, tuple[str, ...]] = ("tools", ("infraflux", "tools", "install", "--group", "test"))

# A broken unit is seen early; of the rest the long ones begin first, so that both lanes end together. Suites not named
# here run last, by name.
SUITE_ORDER = ("unit", "e2e", "flows", "lab/machines", "lab/drift", "lab/talos", "lab/platform", "lab/proxmox")
NOT_SUITES = ("fixtures", "bench")
DIVIDED = ("lab",)
"""Directories whose subdirectories are suites of their own."""

RERUN = ("lab/", "e2e")
"""Suites of live programs, where a busy machine can be late for a test: one that fails is tried once more, and shown as
RERUN. One that fails twice has failed."""

SLOWEST = ("--durations=8", "--durations-min=8")
"""Where a suite's time goes, for the next who makes it shorter."""

LANES = ("78", "79")
"""Second octet of the loopback addresses that a lane's suites use (INFRAFLUX_TEST_OCTET)."""
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


_saying = threading.Lock()


def say(text: str) -> None:
    """Print whole lines at once, in order with the output of the children."""
    with _saying:
        sys.stdout.write(f"{text}\n")
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


def run_suite(name: str, *, lane: str = LANES[0]) -> Tally:
    """Run pytest on tests/NAME; its output is printed in one piece when it ends."""
    say(f"--- tests/{name}: begins")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="infraflux-tests-", ignore_cleanup_errors=True) as scratch:
        junit = Path(scratch) / "junit.xml"
        # Pytest prunes the temporary directories of older runs: two at once would prune each other's.
        base = Path(scratch) / "pytest"
        argv = [sys.executable, "-m", "pytest", f"tests/{name}", f"--junitxml={junit}", f"--basetemp={base}", *SLOWEST]
        argv += ["--reruns", "1"] if name.startswith(RERUN) else []
        environment = {**os.environ, "INFRAFLUX_TEST_OCTET": lane}
        done = subprocess.run(
            argv, cwd=ROOT, env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        tally = read_junit(junit, exit_code=done.returncode)
    say(f"{done.stdout.rstrip()}\n--- tests/{name}: {tally}, {time.monotonic() - started:.0f} s")
    return tally


def run_suites(names: list[str]) -> dict[str, Tally]:
    """Every suite once, by whichever lane is free next."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    tallies: dict[str, Tally] = {}

    def work(lane: str) -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            # A suite whose runner itself dies still counts.
            tallies[name] = Tally(failed=1)
            tallies[name] = run_suite(name, lane=lane)

    threads = [threading.Thread(target=work, args=(lane,)) for lane in LANES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {f"tests/{name}": tallies[name] for name in names}


def suites() -> list[str]:
    """Every directory of tests/ that holds tests, in the order to run."""
    names = {_suite_of(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    rank = {name: position for position, name in enumerate(SUITE_ORDER)}
    wanted = (name for name in names if name.split("/")[0] not in NOT_SUITES)
    return sorted(wanted, key=lambda name: (rank.get(name, len(rank)), name))


def _suite_of(path: Path) -> str:
    divided = path.parts[0] in DIVIDED and len(path.parts) > 2
    return "/".join(path.parts[: 2 if divided else 1])


def main(wanted: list[str]) -> int:
    """Run all; 1 when anything failed."""
    checks = [*(() if wanted else CHECKS), TOOLS]
    tallies = {name: run_check(name, argv) for name, argv in checks}
    tallies |= run_suites(wanted or suites())
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
