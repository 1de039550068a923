"""The shell scripts hand everything to the command line; the container ends the service before it ends itself."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from commandline import problems_of

ROOT = Path(__file__).parents[3]
RECORD = '#!/usr/bin/env bash\nprintf "%s " "$(basename "$0")" "$PWD" "$@" >> "$RECORD"; printf "\\n" >> "$RECORD"\n'


def stand_in(path: Path, more: str = "") -> Path:
    """A program that writes down how it was called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RECORD + more)
    path.chmod(0o755)
    return path


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


@pytest.mark.parametrize("uv", ["on-path", "put-there-by-make"])
@pytest.mark.parametrize(
    ("script", "arguments", "called"),
    [
        ("deploy.sh", ["dev/dev-1", "--dry-run"], ["deploy", "dev/dev-1", "--dry-run"]),
        ("destroy.sh", ["dev/dev-1"], ["destroy", "dev/dev-1"]),
        ("manage-cluster.sh", ["health", "dev/dev-1"], ["cluster", "health", "dev/dev-1"]),
        ("deploy.sh", ["dev/dev-1", "--reason", "two words"], ["deploy", "dev/dev-1", "--reason", "two words"]),
    ],
)
def test_a_script_calls_the_command_line_from_anywhere(
    script: str, arguments: list[str], called: list[str], uv: str, tmp_path: Path, record: Path
):
    project = tmp_path / "project"
    shutil.copytree(ROOT / "scripts", project / "scripts")
    shell = tmp_path / "shell"
    shell.mkdir()
    for name in ("bash", "dirname", "basename", "env"):
        (shell / name).symlink_to(shutil.which(name) or name)
    stand_in(shell / "uv" if uv == "on-path" else project / ".uv" / "bin" / "uv")
    environment = {**os.environ, "PATH": str(shell)}
    subprocess.run([project / "scripts" / script, *arguments], cwd=tmp_path, env=environment, check=True)
    assert record.read_text().split() == ["uv", str(project), "run", "--frozen", "infraflux", *" ".join(called).split()]
    assert problems_of(called) == []


def test_a_failing_command_fails_the_script(tmp_path: Path, record: Path):
    stand_in(tmp_path / "uv", "exit 7\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run([ROOT / "scripts" / "deploy.sh", "x"], env=environment, check=False).returncode == 7


def entrypoint(tmp_path: Path, more: str) -> subprocess.Popen[bytes]:
    stand_in(tmp_path / "infraflux", more)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.Popen([ROOT / "deployments/server/entrypoint.sh"], cwd=tmp_path, env=environment)


def calls(record: Path) -> list[str]:
    return [" ".join(line.split()[2:]) for line in record.read_text().splitlines()] if record.exists() else []


def test_a_stopped_container_ends_the_service_first(tmp_path: Path, record: Path):
    follow = 'case "$*" in *--follow*) touch following; exec sleep 60;; esac\n'
    process = entrypoint(tmp_path, follow)
    try:
        while not (tmp_path / "following").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
    assert calls(record) == ["tools install", "service up", "service logs --follow", "service down"]
    assert [one for call in calls(record) for one in problems_of(call.split())] == []


def test_a_service_that_does_not_start_ends_the_container(tmp_path: Path, record: Path):
    assert entrypoint(tmp_path, 'case "$*" in "service up") exit 4;; esac\n').wait(timeout=30) == 4
    assert calls(record) == ["tools install", "service up"]
