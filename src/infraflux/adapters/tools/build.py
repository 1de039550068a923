"""Build one program from its Go module, with its packages counted as they compile."""

from __future__ import annotations

import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from infraflux.adapters.tools.pins import Files, Pins, Program
from infraflux.adapters.tools.places import Places
from infraflux.adapters.tools.progress import Compiling, Fetching, Listener
from infraflux.adapters.tools.toolchain import Go, go_environment
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.process import run

# After the interrupt the compiler's children get this long to leave before SIGKILL.
GRACE_S = 5.0
# The largest program takes some ten minutes of one core; on a busy machine with a slow line it still ends within this.
BUILD_DEADLINE_S = 4 * 3600.0
KEPT_LINES = 40
DOWNLOADING = "go: downloading "

# What go says, the error class, and what to do. First match wins.
SYMPTOMS: tuple[tuple[tuple[str, ...], ErrorClass, str], ...] = (
    (("no space left on device",), ErrorClass.CAPACITY, "free some disk space; a cold build needs about 12 GiB"),
    (("signal: killed", "cannot allocate memory"), ErrorClass.CAPACITY, "not enough memory: use --jobs 1"),
    (
        ("dial tcp", "i/o timeout", "TLS handshake", "connection re", "no such host", "502 ", "503 ", "unexpected EOF"),
        ErrorClass.TRANSIENT,
        "check the network and GOPROXY; what was compiled is kept, run the same command again",
    ),
    (("403 Forbidden", "404 Not Found", "410 Gone"), ErrorClass.USER, "set GOPROXY to one that serves this module"),
)


def build_flags(program: Program) -> list[str]:
    """Flags of `go build` and `go list` alike: they decide what can be taken from the compiler's cache."""
    symbols = [f"-X {name}={value}" for name, value in program.symbols.items()]
    # The linker drops debug information (-w); not making it in the first place (as `go run` does) saves compile time.
    flags = [
        "-trimpath",
        "-buildvcs=false",
        "-gcflags=all=-dwarf=false",
        f"-ldflags={' '.join(['-s', '-w', *symbols])}",
    ]
    return [*flags, f"-tags={','.join(program.tags)}"] if program.tags else flags


def files_directory(program: Path) -> Path:
    """Where the files of a program's module are kept."""
    return program.parent / "files"


def explain(program: Program, *, exit_code: int, lines: Sequence[str]) -> InfrafluxError:
    """The error for a build that failed, by what go printed."""
    text = "\n".join(lines)
    said = " / ".join(line.strip() for line in lines[-3:]) or "it said nothing"
    message = f"{program.name} {program.version} could not be built (exit {exit_code}): {said}"
    if exit_code == -signal.SIGKILL:
        text += "signal: killed"
    for symptoms, error_class, next_step in SYMPTOMS:
        if any(symptom in text for symptom in symptoms):
            kind = Permanent if error_class is ErrorClass.USER else Retryable
            return kind(message, stage="tools", error_class=error_class, next_step=next_step)
    return Permanent(
        message,
        stage="tools",
        error_class=ErrorClass.INTERNAL,
        next_step=f"see `go build` in tools/{program.module}",
    )


class Builder:
    """Runs the Go commands; `stop` ends them all, from any thread."""

    def __init__(self, *, pins: Pins, places: Places, go: Go, listener: Listener) -> None:
        self.pins = pins
        self.places = places
        self.go = go
        self.listener = listener
        self._stop = threading.Event()

    def build(self, program: Program, *, output: Path) -> None:
        """Build `program` into `output`; Retryable or Permanent with what go said."""
        total = self._fetch_and_count(program)
        done = 0

        def compiled(line: str) -> None:
            nonlocal done
            done += 1
            self.listener(Compiling(name=program.name, package=line, done=done, total=max(total, done)))

        argv = ["build", "-v", *build_flags(program), "-o", str(output), program.package]
        exit_code, rest = self._go(argv, program=program, on_package=compiled)
        if exit_code != 0:
            raise explain(program, exit_code=exit_code, lines=rest)
        if program.files is not None:
            self._keep_files(program, program.files, target=files_directory(output))

    def _keep_files(self, program: Program, files: Files, *, target: Path) -> None:
        argv = ["list", "-m", "-f", "{{.Dir}}", files.module]
        printed: list[str] = []
        exit_code, rest = self._go(argv, program=program, on_package=printed.append)
        if exit_code != 0 or not printed:
            raise explain(program, exit_code=exit_code, lines=rest)
        target.mkdir(parents=True, exist_ok=True)
        for name in files.take:
            shutil.copyfile(Path(printed[-1]) / name, target / Path(name).name)

    def _fetch_and_count(self, program: Program) -> int:
        """Download what is missing and count the packages the cache does not have."""
        stale: list[str] = []
        template = "{{if .Stale}}{{.ImportPath}}{{end}}"
        argv = ["list", "-deps", "-f", template, *build_flags(program), program.package]
        exit_code, rest = self._go(argv, program=program, on_package=stale.append)
        if exit_code != 0:
            raise explain(program, exit_code=exit_code, lines=rest)
        return len(stale)

    def _go(
        self, arguments: list[str], *, program: Program, on_package: Callable[[str], None]
    ) -> tuple[int, list[str]]:
        """Run go in the program's module; returns its exit code and the last lines that were no progress."""
        if self.stopped:
            raise Retryable("the installation was stopped", stage="tools", next_step="run the same command again")
        rest: deque[str] = deque(maxlen=KEPT_LINES)

        def heard(line: str) -> None:
            if line.startswith(DOWNLOADING):
                self.listener(Fetching(name=program.name, module=line.removeprefix(DOWNLOADING)))
            elif _is_import_path(line):
                on_package(line)
            elif line.strip():
                rest.append(line)

        done = run(
            [self.go.path, *arguments],
            cwd=self.pins.directory / program.module,
            env=go_environment(self.places),
            inherit_env=False,
            deadline_s=BUILD_DEADLINE_S,
            on_line=heard,
            stop=self._stop,
            grace_s=GRACE_S,
        )
        return done.returncode, list(rest)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End everything that runs and start nothing more."""
        self._stop.set()


def _is_import_path(line: str) -> bool:
    return bool(line) and " " not in line and ":" not in line and not line.startswith("#")
