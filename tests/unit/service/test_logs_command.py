"""`infraflux service logs`: `--follow` leaves nothing behind, former names of programs are taken."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).parents[2] / "fixtures" / "service_project"


def test_following_ends_with_the_command(tmp_path: Path):
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    log = project / ".infraflux/service/logs/server.log"
    log.parent.mkdir(parents=True)
    log.write_text("started\n")
    command = "from infraflux.cli.main import main; main()"
    argv = [sys.executable, "-c", command, "service", "logs", "server", "--follow"]
    # Into a file: on a pipe that nobody reads any more, tail would end by itself.
    with (tmp_path / "seen").open("w") as seen, subprocess.Popen(argv, cwd=project, stdout=seen) as process:
        while (tmp_path / "seen").read_text() != "started\n":
            assert process.poll() is None
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    _gone, left = psutil.wait_procs(children, timeout=5)
    for one in left:
        one.kill()
    assert left == []


@pytest.mark.parametrize(("former", "present"), [("engine", "forkserver"), ("watch", "watchdog")])
def test_a_former_name_prints_the_present_log(tmp_path: Path, former: str, present: str):
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    log = project / f".infraflux/service/logs/{present}.log"
    log.parent.mkdir(parents=True)
    log.write_text("started\n")
    argv = [sys.executable, "-c", "from infraflux.cli.main import main; main()", "service", "logs", former]
    assert subprocess.run(argv, cwd=project, capture_output=True, text=True, check=True).stdout == "started\n"
