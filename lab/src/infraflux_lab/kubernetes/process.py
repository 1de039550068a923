"""Child processes that are kept running while wanted, and that never outlive the lab."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from infraflux.core.die_with_parent import die_with_parent
from infraflux.core.files import make_private_dir
from infraflux_lab.contracts import EventSink
from infraflux_lab.kubernetes.programs import ProcessSpec

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 10.0
# A process that ran this long had started well, so its next failure is a new one.
STABLE_AFTER_S = 30.0
LOG_LIMIT_BYTES = 8 * 2**20


def backoff_s(failures: int) -> float:
    """Pause before start number `failures` + 1: doubled each time, up to LONGEST_BACKOFF_S."""
    return float(min(FIRST_BACKOFF_S * 2 ** max(failures - 1, 0), LONGEST_BACKOFF_S))


class SupervisedProcess:
    """One program: started, restarted with backoff when it ends by itself, stopped within a bound."""

    def __init__(
        self,
        program: ProcessSpec,
        *,
        log: Path,
        events: EventSink,
        cluster: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`log` is appended to; `sleep` is replaced by a fake in tests."""
        self.program = program
        self._log = log
        self._events = events
        self._cluster = cluster
        self._sleep = sleep
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self) -> None:
        """Start once; a second call does nothing."""
        if self._keeper is None:
            await self._spawn()
            self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def stop(self, *, grace_s: float) -> None:
        """Terminate, and kill what is still there after `grace_s`."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._keeper = None
        if self._process is None or self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self._emit("process-killed", grace_s=grace_s)
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def tail(self, lines: int = 5) -> str:
        """The last lines of the log, for an error message."""
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            started = time.monotonic()
            code = await self._process.wait()
            self._failures = 1 if time.monotonic() - started > STABLE_AFTER_S else self._failures + 1
            pause_s = backoff_s(self._failures)
            self._emit("process-ended", exit_code=code, restart_in_s=pause_s)
            await self._sleep(pause_s)
            await self._spawn()

    async def _spawn(self) -> None:
        make_private_dir(self._log.parent)
        _rotate(self._log)
        with open(self._log, "ab", opener=_private_opener) as stream:
            self._process = await asyncio.create_subprocess_exec(
                *die_with_parent(self.program.argv),
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                # Ctrl-C in the lab's terminal must reach the lab alone, which then stops the children in order.
                start_new_session=True,
            )
        self._emit("process-started", pid=self._process.pid)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        # Not Process.send_signal: it reaps a process that has just ended under asyncio's feet.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def _emit(self, kind: str, **fields: object) -> None:
        self._events.emit("kubernetes", kind, cluster=self._cluster, process=self.program.name, **fields)


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".1.log"))
