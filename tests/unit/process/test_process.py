"""What `run` promises of a program, each with a real one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from infraflux.core import process
from infraflux.core.process import (
    Completed,
    ProcessCancelled,
    ProcessFailed,
    ProcessTimeout,
    ProgramMissing,
    ask,
    run,
    start_daemon,
)
from infraflux.core.program_output import Masker

CANARY = "canary-5f1d"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int, *, patience_s: float = 10.0) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def wait_for(path: Path, *, patience_s: float = 10.0) -> str:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text().strip()
        time.sleep(0.02)
    raise AssertionError(f"{path.name} never came")


@pytest.mark.parametrize(
    ("code", "returncode", "stdout", "stderr"),
    [
        ("print('a')", 0, "a\n", ""),
        ("import sys; print('b', file=sys.stderr); sys.exit(3)", 3, "", "b\n"),
        ("import sys; sys.stdout.write('no newline')", 0, "no newline", ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "", ""),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\n')", 0, "\ufffd\n", ""),
    ],
    ids=["plain", "stderr-and-code", "no-final-newline", "killed", "not-utf8"],
)
def test_result_is_typed(code: str, returncode: int, stdout: str, stderr: str) -> None:
    completed = run(python(code), deadline_s=30)
    assert (completed.returncode, completed.stdout, completed.stderr) == (returncode, stdout, stderr)


def test_more_output_than_a_pipe_holds_on_both_streams_does_not_block() -> None:
    code = "import sys; [print('x' * 99, file=s) for _ in range(5000) for s in (sys.stdout, sys.stderr)]"
    completed = run(python(code), deadline_s=60)
    assert len(completed.stdout) == len(completed.stderr) == 500_000


def test_lines_arrive_while_the_program_runs(tmp_path: Path) -> None:
    flag = tmp_path / "seen"
    code = (
        "import pathlib, sys, time\nprint('first', flush=True)\n"
        f"while not pathlib.Path({str(flag)!r}).exists(): time.sleep(0.01)\nprint('second')"
    )
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        flag.touch()

    run(python(code), deadline_s=30, on_line=on_line)
    assert lines == ["first", "second"]


def test_stdin_is_closed_unless_it_is_given() -> None:
    read = python("import sys; print(len(sys.stdin.read()))")
    assert run(read, deadline_s=30).stdout == "0\n"
    assert run(read, deadline_s=30, stdin="y" * 300_000).stdout == "300000\n"
    assert run(python("pass"), deadline_s=30, stdin="y" * 300_000).returncode == 0


def test_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", CANARY)
    seen = run(["env"], deadline_s=30, env={"TF_VAR_x": "1"}).stdout
    assert CANARY not in seen
    assert "PATH=" in seen
    assert "TF_VAR_x=1" in seen


def test_files_that_a_program_makes_are_private(tmp_path: Path) -> None:
    run(["touch", "state"], deadline_s=30, cwd=tmp_path).require()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_masked_in_lines_result_and_error() -> None:
    lines: list[str] = []
    secret = f"{CANARY}\nsecond-line-of-it"
    code = f"import json; s={secret!r}; print(s); print(json.dumps(s)); raise SystemExit(1)"
    completed = run(python(code), deadline_s=30, secrets=[secret, ""], on_line=lines.append)
    with pytest.raises(ProcessFailed) as failed:
        completed.require(stage="test")
    for text in (str(failed.value), repr(completed), completed.stdout, *lines, *completed.argv):
        assert CANARY not in text
        assert "second-line-of-it" not in text


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        ((), "plain", "plain"),
        (("abcd", "abcdef"), "abcdef abcd", "*** ***"),
        (("abc",), "abc", "abc"),
        (('a"b\\c',), '{"k": "a\\"b\\\\c"}', '{"k": "***"}'),
    ],
    ids=["none", "longest-first", "too-short-to-mask", "escaped-in-json"],
)
def test_masker(secrets: tuple[str, ...], text: str, masked: str) -> None:
    assert Masker(secrets)(text) == masked


def test_deadline_stops_the_program_and_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, time\nchild = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(f'{{child.pid}}\\n')\ntime.sleep(60)"
    )
    with pytest.raises(ProcessTimeout):
        run(python(code), deadline_s=1.0, grace_s=5)
    assert gone(int(wait_for(pid_file)))


def test_cancel_asks_first_and_kills_after_the_grace_time(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    polite = (
        "import signal, sys, time\nsignal.signal(signal.SIGINT, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    heard: list[str] = []

    def stop(line: str) -> None:
        heard.append(line)
        if line == "up":
            raise KeyboardInterrupt

    for code in (stubborn, polite):
        with pytest.raises(KeyboardInterrupt):
            run(python(code), deadline_s=30, grace_s=0.5, on_line=stop)
    assert heard == ["up", "up"]
    assert not process.live_children()


def test_guard_stops_what_other_threads_started() -> None:
    up = threading.Event()
    raised: list[BaseException] = []

    def task() -> None:
        try:
            run(
                python("import time; print('up', flush=True); time.sleep(60)"),
                deadline_s=60,
                on_line=lambda _: up.set(),
            )
        except ProcessCancelled as error:
            raised.append(error)

    thread = threading.Thread(target=task)

    def flow() -> None:
        with process.guard(grace_s=5):
            thread.start()
            assert up.wait(20)
            raise RuntimeError("the flow was cancelled")

    with pytest.raises(RuntimeError):
        flow()
    thread.join(20)
    assert len(raised) == 1
    assert not process.live_children()


def test_guard_leaves_children_alone_that_it_did_not_see_start() -> None:
    up = threading.Event()
    results: list[Completed] = []
    code = "import time; print('up', flush=True); time.sleep(0.7)"
    thread = threading.Thread(
        target=lambda: results.append(run(python(code), deadline_s=60, on_line=lambda _: up.set()))
    )
    thread.start()
    assert up.wait(20)
    with pytest.raises(RuntimeError), process.guard(grace_s=5):
        raise RuntimeError("another flow")
    thread.join(20)
    assert [one.returncode for one in results] == [0]


def test_kill_of_the_parent_reaches_the_program(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    inner = (
        f"import os, pathlib, time; pathlib.Path({str(pid_file)!r}).write_text(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )
    outer = f"from infraflux.core.process import run; import sys; run([sys.executable, '-c', {inner!r}], deadline_s=60)"
    parent = subprocess.Popen([sys.executable, "-c", outer])
    try:
        pid = int(wait_for(pid_file))
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(pid)
    finally:
        parent.kill()
        parent.wait()


def test_what_the_program_left_behind_is_killed(tmp_path: Path) -> None:
    completed = run(["sh", "-c", "sleep 60 & echo $!"], deadline_s=30)
    assert completed.returncode == 0
    assert gone(int(completed.stdout))


@pytest.mark.parametrize("argv", [["/no/such/program"], ["/etc/hostname"]], ids=["missing", "not-executable"])
def test_a_missing_program_is_a_clear_error(argv: list[str]) -> None:
    with pytest.raises(process.ProgramMissing, match="a retry cannot help"):
        run(argv, deadline_s=5)


def test_a_missing_working_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(process.ProgramMissing, match="working directory"):
        run(["true"], deadline_s=5, cwd=tmp_path / "absent")


def test_another_thread_stops_a_program_by_its_event(tmp_path: Path) -> None:
    stop = threading.Event()
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    threading.Timer(0, lambda: (wait_for(tmp_path / "pid"), stop.set())).start()
    with pytest.raises(ProcessCancelled, match="was stopped"):
        run(python(code), deadline_s=60, stop=stop, grace_s=5)
    assert gone(int(wait_for(tmp_path / "pid")))


def test_an_environment_may_be_given_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "C.UTF-8")
    code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    assert run(python(code), deadline_s=30, env={"A": "1"}, inherit_env=False).stdout == "['A']\n"


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (python("import sys; print(1, flush=True); print(2, file=sys.stderr)"), "1\n2\n"),
        (python("import os; print(os.environ['A'])"), "b\n"),
        (python("raise SystemExit(1)"), None),
        (python("import time; time.sleep(60)"), None),
        (["/nowhere/at-all"], None),
    ],
    ids=["both-streams", "environment", "fails", "hangs", "missing"],
)
def test_a_question_is_answered_or_not(
    argv: list[str], answer: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the launcher of other programs: `doctor` has to say that it is missing, and not that all else is.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    assert ask(argv, env={"A": "b"}, timeout_s=3) == answer


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
    time.sleep(60)
"""


def test_a_daemon_outlives_its_start(tmp_path: Path) -> None:
    start_daemon([*python(DAEMON), tmp_path / "pid"], env={}, cwd=tmp_path, deadline_s=30)
    pid = int(wait_for(tmp_path / "pid"))
    try:
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("argv", "error", "words"),
    [
        (python("import sys; sys.exit('no such setting')"), ProcessFailed, "no such setting"),
        (["/nowhere/at-all"], ProgramMissing, "cannot be executed"),
        (python("import time; time.sleep(60)"), ProcessTimeout, "background within"),
    ],
    ids=["refuses", "missing", "stays"],
)
def test_a_daemon_that_does_not_start_says_why(
    argv: list[str], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        start_daemon(argv, env={}, cwd=tmp_path, deadline_s=3)
