"""A child that examines one tree after the other, so that time and memory are those of the product alone."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fuzz.trees import FLEET, Tree

CHILD = """
import json, sys, time
from pathlib import Path
from infraflux.config.load import examine
root = Path(sys.argv[1])
for line in sys.stdin:
    tree = {Path(name): text for name, text in json.loads(line).items()}
    began = time.process_time()
    problems = [str(problem) for problem in examine(root, instead=tree).problems]
    took = time.process_time() - began
    status = Path('/proc/self/status').read_text()
    peak = next(int(one.split()[1]) for one in status.splitlines() if one.startswith('VmHWM'))
    print(json.dumps([problems, took, peak]), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """What came of one tree."""

    problems: list[str]
    seconds: float
    peak_mib: float


class Examiner:
    def __init__(self, root: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, tree: Tree) -> Answer:
        """Raises AssertionError where the child died: its traceback is on stderr."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{json.dumps(tree)}\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, "the examination ended in a traceback"
        problems, seconds, kib = json.loads(line)
        return Answer(problems, seconds, kib / 1024)

    def close(self) -> None:
        self._child.communicate()


@contextmanager
def examiner(root: Path = FLEET) -> Iterator[Examiner]:
    """One child; a tree that kills it costs the whole run, and is the finding."""
    child = Examiner(root)
    try:
        yield child
    finally:
        child.close()
