"""Lets a program that we start die with us, whichever way we die. Linux only.

Python's own way, `preexec_fn`, runs Python between fork and exec: every fork then takes the locks of `logging` and of
whatever else registered a hook, and what a signal's handler raises inside such a hook is dropped, with the lock held.
A cancelled run was seen to hang forever because of that. So two programs that every Linux has do it, after the exec.
"""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

# $1 is the parent that asked: had it died before the kernel watched it, nobody would ever signal us.
# PWD is the shell's own addition to an environment that is given whole.
_SCRIPT = 'test "$PPID" = "$1" || exit 1; shift; unset PWD; exec "$@"'
LAUNCHER = "setpriv"
"""Of util-linux, which is part of every distribution's base."""
_EXECUTABLE_STARTS = (b"\x7fELF", b"#!")


def find_launcher() -> str | None:
    """Where `setpriv` is, also where PATH says nothing of the system's own directories; None where it is missing."""
    return shutil.which(LAUNCHER) or shutil.which(LAUNCHER, path=os.defpath)


def die_with_parent(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals = signal.SIGKILL,
    cwd: Path | None = None,
    path: str | None = None,
) -> list[str]:
    """The argv that runs `argv` as the same process, which gets `death_signal` when the thread that started it ends.

    `cwd` is where it will run, `path` where a program named without a directory is looked for (default: ours). Raises
    FileNotFoundError and PermissionError for the program as starting it would, OSError where it is no executable, and
    FileNotFoundError with `setpriv` (util-linux) where that is missing. See prctl(2), PR_SET_PDEATHSIG.
    """
    launcher = find_launcher()
    if launcher is None:
        raise FileNotFoundError(2, "setpriv of util-linux is needed to start programs", LAUNCHER)
    prefix = [launcher, "--pdeathsig", death_signal.name.removeprefix("SIG"), "--"]
    return [*prefix, "/bin/sh", "-c", _SCRIPT, "infraflux", str(os.getpid()), _found(argv[0], cwd, path), *argv[1:]]


def _found(program: str, cwd: Path | None, path: str | None) -> str:
    """The file to execute; the shell would report a missing one by its exit code alone, too late."""
    word = program if "/" in program else shutil.which(program, path=path)
    file = Path(cwd or "", word) if word else None
    if word is None or file is None or not file.exists():
        raise FileNotFoundError(2, os.strerror(2), program)
    if file.is_dir() or not os.access(file, os.X_OK):
        raise PermissionError(13, os.strerror(13), program)
    with file.open("rb") as stream:
        start = stream.read(4)
    if not start.startswith(_EXECUTABLE_STARTS):  # a shell would take it for a script
        raise OSError(8, os.strerror(8), program)
    return word
