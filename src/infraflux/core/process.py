"""Runs outside programs: the one place where InfraFlux starts a child process that it waits for.

Promises: an argv list and never a shell, stdin closed, an environment of allowed names only, output streamed line by
line with secrets masked, a deadline, and nothing left running. A child sits in its own session and process group; when
it is cancelled the group gets SIGINT, a bounded time to finish (Terraform writes its state then) and SIGKILL. When this
process itself is killed, the kernel sends the child `death_signal`. Linux only: it rests on pidfd and prctl.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from infraflux.core.die_with_parent import LAUNCHER, die_with_parent
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.program_output import TAIL_LINES, Masker, ProgramOutput
from infraflux.core.spans import Kind, program_name, span

DEFAULT_GRACE_S = 25.0
"""Prefect kills a cancelled run after 30 s; Terraform must have saved its state by then."""
_DRAIN_S = 2.0
"""How long output that is still in the pipe may take to arrive once the whole group is dead."""
_POLL_S = 0.5
"""Wake-up interval, so that a cancel from another thread and the deadline are both seen in time."""
_CHUNK_BYTES = 65536
_UMASK = 0o077
"""What programs write is for their user only: Terraform would make its state readable by all."""
_ALLOWED = (
    "PATH HOME USER LOGNAME LANG LANGUAGE TZ TMPDIR TERM SSL_CERT_FILE SSL_CERT_DIR "
    "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy "
    "XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_RUNTIME_DIR"
)
_ALLOWED_NAMES = frozenset(_ALLOWED.split())


class ProcessTimeout(Retryable):
    """The program did not end within its deadline and was stopped."""


class ProcessCancelled(Retryable):
    """Somebody cancelled the run; the program was stopped in an orderly way or killed after the grace time."""


class ProgramMissing(Permanent):
    """The program is not where it was looked for."""


class ProcessFailed(Permanent):
    """The program ended with a code that `Completed.require` did not allow; `completed` has its output."""

    completed: "Completed"


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a program ended. All text is masked."""

    argv: tuple[str, ...]
    returncode: int
    """Negative: killed by this signal."""
    stdout: str
    stderr: str
    elapsed_s: float
    lines: tuple[str, ...] = field(repr=False, default=())
    """The last lines of both streams in the order they came."""

    @property
    def tail(self) -> str:
        """The last lines of output, for an error message."""
        return "\n".join(self.lines)

    def require(self, *returncodes: int, cluster: str = "", stage: str = "", next_step: str = "") -> "Completed":
        """This result where its code is one of these (default 0); else ProcessFailed with the tail of the output."""
        if self.returncode in (returncodes or (0,)):
            return self
        how = f"was killed by signal {-self.returncode}" if self.returncode < 0 else f"ended with {self.returncode}"
        error = ProcessFailed(
            f"{Path(self.argv[0]).name} {how}:\n{self.tail}",
            cluster=cluster,
            stage=stage,
            error_class=ErrorClass.INTERNAL,
            next_step=next_step,
        )
        error.completed = self
        raise error


def allowed_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The names of `source` (this process' environment where it is not given) that outside programs may see."""
    source = os.environ if source is None else source
    return {name: value for name, value in source.items() if name in _ALLOWED_NAMES or name.startswith("LC_")}


def run(
    argv: Sequence[str | Path],
    *,
    deadline_s: float,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = True,
    cwd: Path | None = None,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    secrets: Collection[str] = (),
    grace_s: float = DEFAULT_GRACE_S,
    death_signal: signal.Signals = signal.SIGTERM,
) -> Completed:
    """Run one program to its end.

    `env` is added to the allowed names of our own environment, or is all there is (`inherit_env=False`). `on_line`
    gets each masked line of both streams as it arrives, in the calling thread; what it raises cancels the program, and
    so does `stop` when another thread sets it. `deadline_s` is wall time.

    Raises ProgramMissing, ProcessTimeout, ProcessCancelled; a non-zero end is a result, see `Completed.require`.
    """
    words = tuple(str(word) for word in argv)
    mask = Masker(secrets)
    started = time.monotonic()
    environment = {**(allowed_environment() if inherit_env else {}), **(env or {})}
    child = _start(words, env=environment, cwd=cwd, has_stdin=stdin is not None, death_signal=death_signal)
    output = ProgramOutput(mask=mask, on_line=on_line)
    try:
        with _registered(child), span(Kind.PROGRAM, program_name(words)):
            _pump(child, output=output, stdin=stdin, deadline=started + deadline_s, stop=stop)
    except BaseException:
        child.stop(grace_s=grace_s)
        raise
    finally:
        child.close()
    if child.cancelled.is_set():
        raise ProcessCancelled(f"{Path(words[0]).name} was cancelled:\n{output.tail}")
    return Completed(
        argv=tuple(mask(word) for word in words),
        returncode=child.process.returncode,
        stdout=output.text("stdout"),
        stderr=output.text("stderr"),
        elapsed_s=time.monotonic() - started,
        lines=tuple(output.last),
    )


@contextmanager
def guard(*, grace_s: float = DEFAULT_GRACE_S) -> Iterator[None]:
    """Stop every child that was started inside this context, also by other threads, when the context is left by any
    exception (a cancelled Prefect run raises one in the main thread, while a task's thread waits for its program)."""
    before = set(live_children())
    try:
        yield
    except BaseException:
        cancel(set(live_children()) - before, grace_s=grace_s)
        raise


def ask(argv: Sequence[str | Path], *, env: Mapping[str, str], timeout_s: float) -> str | None:
    """What a program that only answers a question prints on either stream; None where it cannot run, fails or hangs.

    `env` is all it sees. It is not tied to our life, so it also answers on a machine that lacks what that takes.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def start_daemon(argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, deadline_s: float) -> None:
    """Start a program that puts itself into the background and is to outlive us; returns when it has done that.

    `env` is all it sees. Raises ProcessFailed with what it said, ProgramMissing, ProcessTimeout.
    """
    words = tuple(str(word) for word in argv)
    name = Path(words[0]).name
    try:
        done = subprocess.run(
            words,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=deadline_s,
            check=False,
            umask=_UMASK,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessTimeout(f"{name} did not go into the background within {deadline_s:.0f} s") from error
    except OSError as error:
        raise ProgramMissing(f"{words[0]} cannot be executed: {error.strerror}", next_step="check the file") from error
    said = done.stderr.decode(errors="replace")
    lines = tuple(said.splitlines()[-TAIL_LINES:])
    Completed(argv=words, returncode=done.returncode, stdout="", stderr=said, elapsed_s=0, lines=lines).require()


def live_children() -> tuple["Child", ...]:
    """The programs that are running now."""
    with _live_lock:
        return tuple(_live)


def cancel(children: Collection["Child"], *, grace_s: float = DEFAULT_GRACE_S) -> None:
    """SIGINT to all, a shared bounded wait, SIGKILL to those that are left. `run` then raises ProcessCancelled."""
    deadline = time.monotonic() + grace_s
    for child in children:
        child.cancelled.set()
        child.signal(signal.SIGINT)
    for child in children:
        if not child.wait_exit(timeout_s=max(0.0, deadline - time.monotonic())):
            child.signal(signal.SIGKILL)


class Child:
    """A running program with its process group."""

    def __init__(self, process: subprocess.Popen[bytes], *, name: str) -> None:
        self.process = process
        self.name = name
        self.cancelled = threading.Event()
        self.pidfd = os.pidfd_open(process.pid)
        # A reaped pid can belong to somebody else: signals and reaping exclude each other.
        self._reaping = threading.Lock()

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group; nothing happens once the program was reaped."""
        with self._reaping:
            if self.process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, number)

    def wait_exit(self, *, timeout_s: float) -> bool:
        """True once the program ended; it is not reaped by this."""
        if self.process.returncode is not None:
            return True
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self.pidfd, selectors.EVENT_READ)
            except (OSError, ValueError):  # closed meanwhile by the thread that runs it
                return True
            return bool(selector.select(timeout_s))

    def reap(self) -> int:
        """Kill what the program left in its group, then collect it; only after it ended."""
        self.signal(signal.SIGKILL)
        with self._reaping:
            return self.process.wait()

    def stop(self, *, grace_s: float) -> None:
        """SIGINT, bounded wait, SIGKILL, reap."""
        if self.process.returncode is not None:
            return
        self.signal(signal.SIGINT)
        try:
            self.wait_exit(timeout_s=grace_s)
        finally:
            self.reap()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


_live: set[Child] = set()
_live_lock = threading.Lock()


@contextmanager
def _registered(child: Child) -> Iterator[None]:
    with _live_lock:
        _live.add(child)
    try:
        yield
    finally:
        with _live_lock:
            _live.discard(child)


def _start(
    argv: tuple[str, ...],
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    has_stdin: bool,
    death_signal: signal.Signals,
) -> Child:
    try:
        process = subprocess.Popen(
            die_with_parent(argv, death_signal=death_signal, cwd=cwd, path=env.get("PATH")),
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
            umask=_UMASK,
            bufsize=0,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise ProgramMissing(f"working directory {cwd} does not exist") from error
        missing = error.filename if error.filename == LAUNCHER else argv[0]
        next_step = "install util-linux" if missing == LAUNCHER else f"infraflux tools install {Path(missing).name}"
        raise ProgramMissing(f"{missing} was not found", next_step=next_step) from error
    except OSError as error:
        raise ProgramMissing(f"{argv[0]} cannot be executed: {error.strerror}", next_step="check the file") from error
    return Child(process, name=Path(argv[0]).name)


def _pump(
    child: Child, *, output: ProgramOutput, stdin: str | None, deadline: float, stop: threading.Event | None
) -> None:
    """Move bytes until the program ended and its pipes are empty."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(child.pidfd, selectors.EVENT_READ, "exit")
        for name, stream in (("stdout", child.process.stdout), ("stderr", child.process.stderr)):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, name)
        pending = memoryview((stdin or "").encode())
        if child.process.stdin is not None:
            os.set_blocking(child.process.stdin.fileno(), False)
            selector.register(child.process.stdin, selectors.EVENT_WRITE, "stdin")
        ended = False
        while len(selector.get_map()) > 0:
            if stop is not None and stop.is_set() and not ended:
                raise ProcessCancelled(f"{child.name} was stopped:\n{output.tail}")
            if time.monotonic() > deadline:
                if ended:  # the pipe is held open by a process that left the group: its output is not ours
                    return
                raise ProcessTimeout(f"{child.name} ran into its deadline:\n{output.tail}")
            for key, _ in selector.select(min(_POLL_S, max(0.0, deadline - time.monotonic()))):
                if key.data == "exit":
                    selector.unregister(child.pidfd)
                    child.reap()
                    ended, deadline = True, min(deadline, time.monotonic()) + _DRAIN_S
                elif key.data == "stdin":
                    pending = _write_some(selector, key.fileobj, pending)  # type: ignore[arg-type]
                else:
                    _read_some(selector, key.fileobj, key.data, output)  # type: ignore[arg-type]


def _read_some(selector: selectors.BaseSelector, stream: IO[bytes], name: str, output: ProgramOutput) -> None:
    chunk = os.read(stream.fileno(), _CHUNK_BYTES)
    if not chunk:
        selector.unregister(stream)
    output.feed(name, chunk)


def _write_some(selector: selectors.BaseSelector, stream: IO[bytes], pending: memoryview) -> memoryview:
    try:
        pending = pending[os.write(stream.fileno(), pending[:_CHUNK_BYTES]) :]
    except BrokenPipeError:  # the program does not read all of it, which is its own affair
        pending = pending[:0]
    if not pending:
        selector.unregister(stream)
        stream.close()
    return pending
