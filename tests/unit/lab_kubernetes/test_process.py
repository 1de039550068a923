import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from infraflux_lab.kubernetes.process import LONGEST_BACKOFF_S, SupervisedProcess, backoff_s
from infraflux_lab.kubernetes.programs import ProcessSpec


class RecordedEvents:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, source: str, kind: str, **fields: Any) -> None:
        self.events.append((kind, fields))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def events() -> RecordedEvents:
    return RecordedEvents()


def _supervised(
    tmp_path: Path, events: RecordedEvents, code: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> SupervisedProcess:
    program = ProcessSpec(name="child", argv=[sys.executable, "-c", textwrap.dedent(code)], environment={"A": "b"})
    return SupervisedProcess(program, log=tmp_path / "logs" / "child.log", events=events, cluster="c", sleep=sleep)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (100, LONGEST_BACKOFF_S)])
def test_backoff(failures: int, seconds: float) -> None:
    assert backoff_s(failures) == pytest.approx(seconds)


@pytest.mark.anyio
async def test_a_program_that_ends_is_started_again_ever_more_slowly(tmp_path: Path, events: RecordedEvents) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            enough.set()
            await asyncio.Event().wait()

    process = _supervised(tmp_path, events, "print('hello', flush=True)", sleep)
    await process.start()
    await asyncio.wait_for(enough.wait(), 20)
    await process.stop(grace_s=1)

    assert pauses == [0.2, 0.4, 0.8]
    assert events.kinds() == ["process-started", "process-ended"] * 3
    assert process.tail() == "hello\nhello\nhello"


@pytest.mark.anyio
async def test_stopping_ends_it_for_good(tmp_path: Path, events: RecordedEvents) -> None:
    process = _supervised(tmp_path, events, "import time; time.sleep(600)")
    await process.start()
    await process.start()
    pid = process.pid
    assert pid is not None

    await process.stop(grace_s=5)

    assert not psutil.pid_exists(pid)
    assert events.kinds() == ["process-started"]
    assert process.pid is None


@pytest.mark.anyio
async def test_a_program_deaf_to_sigterm_is_killed_after_the_grace(tmp_path: Path, events: RecordedEvents) -> None:
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(600)
    """
    process = _supervised(tmp_path, events, code)
    await process.start()
    await _until(lambda: process.tail() == "deaf")

    await process.stop(grace_s=0.1)

    assert events.kinds() == ["process-started", "process-killed"]


def test_children_die_with_a_lab_that_is_killed(tmp_path: Path) -> None:
    parent = f"""
        import asyncio
        from pathlib import Path
        from infraflux_lab.kubernetes.process import SupervisedProcess
        from infraflux_lab.kubernetes.programs import ProcessSpec

        class Events:
            def emit(self, source, kind, **fields):
                print(fields["pid"], flush=True)

        async def main():
            program = ProcessSpec(name="child", argv=["/bin/sleep", "600"], environment={{}})
            await SupervisedProcess(program, log=Path({str(tmp_path)!r}) / "log", events=Events(), cluster="c").start()
            await asyncio.sleep(600)

        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)], stdout=subprocess.PIPE, text=True) as lab:
        assert lab.stdout is not None
        child = psutil.Process(int(lab.stdout.readline()))
        lab.send_signal(signal.SIGKILL)
        lab.wait()

    child.wait(timeout=20)
    assert not child.is_running()
