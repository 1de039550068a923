"""Ask a program its version, and remember the answer for as long as the file stays the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infraflux.adapters.tools.pins import Program
from infraflux.core.files import write_whole
from infraflux.core.process import ask

# Version commands answer in well under a second; the bound is for a machine that is busy compiling.
PROBE_TIMEOUT_S = 60.0
QUIET = {
    # terraform would ask its maker for news, kubectl would read a kubeconfig.
    "CHECKPOINT_DISABLE": "1",
    "KUBECONFIG": "/dev/null",
}


def output_of(argv: Sequence[str], *, environ: Mapping[str, str]) -> str | None:
    """What the command printed on either stream; None when it cannot run, fails or hangs."""
    return ask(argv, env={**environ, **QUIET}, timeout_s=PROBE_TIMEOUT_S)


def ask_version(path: Path, *, program: Program, environ: Mapping[str, str], go: Path | None = None) -> str | None:
    """The version `path` gives for itself; None when it does not answer as `program` would."""
    if not program.probe.build_info:
        output = output_of([str(path), *program.probe.arguments], environ=environ)
        return program.probe.read(output) if output is not None else None
    if go is None:
        return None
    output = output_of([str(go), "version", "-m", str(path)], environ=environ)
    lines = (line.split() for line in (output or "").splitlines())
    # "mod" is the module of the main package; the wrapper module itself does not appear.
    wanted = (words[2] for words in lines if words[:2] == ["mod", program.probe.build_info])
    return next(wanted, "").removeprefix("v") or None


class ProbeRecord:
    """Answers of programs on PATH by path, size and time of change: asking terraform costs 0.1 s each time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, path: Path, *, program: Program, environ: Mapping[str, str]) -> str | None:
        """The recorded answer if the file has not changed, else a new one."""
        seen = path.stat()
        # The record survives upgrades of pins.yaml, so how the program is asked is part of the key.
        key = f"{path}|{seen.st_size}|{seen.st_mtime_ns}|{' '.join(program.probe.arguments)}|{program.probe.pattern}"
        known = self._read()
        if key not in known:
            answer = ask_version(path, program=program, environ=environ)
            if answer is None:
                return None  # a machine too busy to answer once must not be remembered
            # Only the newest state of a file is worth keeping.
            known = {old: value for old, value in known.items() if not old.startswith(f"{path}|")} | {key: answer}
            self._write(known)
        return known[key]

    def _read(self) -> dict[str, str]:
        try:
            data = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, known: dict[str, str]) -> None:
        # A cache directory that cannot be written costs time, not correctness.
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(known, indent=1))
