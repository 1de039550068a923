"""Directories with secrets in the clear, and what a killed owner leaves."""

import subprocess
import sys
from pathlib import Path

from infraflux.core.workdir import private_workdir, sweep_workdirs

OWNER = """
import os, signal, sys
from pathlib import Path
from infraflux.core.workdir import private_workdir
with private_workdir(Path(sys.argv[1])) as work:
    (work / "config.yaml").write_text("secret")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with private_workdir(tmp_path / "cluster") as work:
        assert work.stat().st_mode & 0o077 == 0
    assert list((tmp_path / "cluster").iterdir()) == []


def test_what_a_killed_owner_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", OWNER, tmp_path], check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.rglob("config.yaml"))) == 1
    with private_workdir(tmp_path) as work:
        assert list(tmp_path.iterdir()) == [work]


def test_what_is_worked_in_stays(tmp_path: Path) -> None:
    with private_workdir(tmp_path) as one, private_workdir(tmp_path) as other:
        sweep_workdirs(tmp_path)
        assert one.is_dir()
        assert other.is_dir()
