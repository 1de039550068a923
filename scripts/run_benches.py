"""Runs every benchmark of tests/bench and prints what each says; a figure is never asserted.

`make bench` runs all of them, `make bench BENCH="config machines"` some. They start labs on addresses of
their own and leave nothing running; each has a bound, after which it is stopped and said to be.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

BENCHES = Path(__file__).parents[1] / "tests" / "bench"
BOUND_S = 900
"""Per benchmark; the slowest measured here took four minutes on a busy machine."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; 1 where one failed or was stopped."""
    known = {path.stem.removeprefix("bench_"): path for path in sorted(BENCHES.glob("*.py"))}
    names = [name.removeprefix("bench_") for name in names]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")  # noqa: T201
        return 2
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}: figures of a busy machine say little", flush=True)  # noqa: T201
    return max([run_one(known[name]) for name in names or known], default=0)


def run_one(path: Path) -> int:
    """One benchmark in a process of its own, its output as it comes."""
    print(f"\n--- {path.stem}", flush=True)  # noqa: T201
    began = time.monotonic()
    try:
        # What the tests' own kit offers (a checkout with lab and service) serves benchmarks as well.
        environment = {**os.environ, "PYTHONPATH": str(BENCHES.parent)}
        code = subprocess.run([sys.executable, path], timeout=BOUND_S, env=environment, check=False).returncode
    except subprocess.TimeoutExpired:
        code = 1
    print(f"--- {path.stem}: {'done' if code == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    return int(code != 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
