"""A program that dies with its parent starts without Python between fork and exec, and only while that parent lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infraflux.core.die_with_parent import LAUNCHER, die_with_parent
from infraflux.core.process import ProgramMissing, run


def executable(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_no_fork_hook_runs_so_no_signal_can_be_lost_in_one() -> None:
    code = (
        "import os; from infraflux.core.process import run; hooks = []\n"
        "os.register_at_fork(before=lambda: hooks.append(1))\n"
        "run(['true'], deadline_s=30); print(len(hooks))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0"


def test_a_parent_that_died_before_the_watch_began_starts_nothing(tmp_path: Path) -> None:
    argv = die_with_parent(["touch", str(tmp_path / "ran")])
    stranger = ["sh", "-c", '"$@"; exit $?', "sh"]  # the program's parent is this shell, not the process that asked
    assert subprocess.run([*stranger, *argv], check=False, timeout=30).returncode == 1
    assert not (tmp_path / "ran").exists()


def test_the_program_sees_its_own_arguments_and_no_variable_of_the_shell() -> None:
    done = subprocess.run(
        die_with_parent(["env"]), env={"A": "b c"}, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "A=b c\n"
    words = ["a b", "$HOME", "'", '"', "-n", ""]
    shown = [sys.executable, "-c", "import sys; print(sys.argv[1:])", *words]
    assert run(shown, deadline_s=30).stdout.strip() == str(words)


def test_a_program_beside_the_working_directory_is_found_there(tmp_path: Path) -> None:
    executable(tmp_path / "here", b"#!/bin/sh\necho found\n")
    assert run(["./here"], deadline_s=30, cwd=tmp_path).stdout == "found\n"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"echo ran\n", 0o755, "Exec format error"),
        (b"#!/bin/sh\n", 0o644, "Permission denied"),
    ],
    ids=["no-program", "not-executable"],
)
def test_what_is_no_program_is_not_run(tmp_path: Path, content: bytes, mode: int, words: str) -> None:
    executable(tmp_path / "file", content).chmod(mode)
    with pytest.raises(ProgramMissing, match=words):
        run([tmp_path / "file"], deadline_s=30)


def test_a_machine_without_the_launcher_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "true").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    with pytest.raises(ProgramMissing, match="util-linux") as caught:
        run(["true"], deadline_s=30)
    assert LAUNCHER in str(caught.value)
