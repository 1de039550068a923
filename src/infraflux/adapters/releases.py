"""Release files in Git's working tree, and the ledger of what happened to them in the state directory.

A release file is written once and never changed. The ledger is one JSON document per line, appended under a lock, so
that two runs never lose each other's record.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.files import make_private_dir

RELEASES = Path("releases")
_HEADER = "# Cut by `infraflux release cut`; never edited: another content is another release.\n"


def release_files(root: Path) -> list[Path]:
    """All release files, by name."""
    directory = root / RELEASES
    return sorted(directory.glob("*.yaml")) if directory.is_dir() else []


def read_release(path: Path) -> dict[str, object]:
    """One release file as plain data. Raises Permanent naming the file where it does not parse."""
    try:
        loaded = YAML(typ="safe", pure=True).load(path.read_text())
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        raise Permanent(
            f"{path.name} cannot be read: {str(error).splitlines()[0]}",
            stage="release",
            error_class=ErrorClass.CONFIG,
            next_step="restore the file from Git; releases are never edited",
        ) from error
    return dict(loaded or {})


def write_release(root: Path, name: str, document: dict[str, object]) -> Path:
    """Write a new release file; Permanent where the name is taken."""
    path = root / RELEASES / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(document, stream)
    try:
        with path.open("x") as target:
            target.write(_HEADER + stream.getvalue())
    except FileExistsError:
        raise Permanent(
            f"{RELEASES}/{name}.yaml exists",
            stage="release",
            next_step="leave the name out, the next free one is taken",
        ) from None
    return path


def next_name(root: Path) -> str:
    """`r1`, `r2`, ...: one more than the highest there is."""
    numbers = [int(path.stem[1:]) for path in release_files(root) if path.stem[1:].isdigit()]
    return f"r{max(numbers, default=0) + 1}"


class LedgerFile:
    """The append-only ledger of one project; 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        """All records, oldest first; a last line that a crash cut short is left out."""
        if not self.path.exists():
            return []
        text = self.path.read_text()
        whole = text if text.endswith("\n") else text[: text.rfind("\n") + 1]
        return [line for line in whole.splitlines() if line]

    def append(self, *lines: str) -> None:
        """Add records, on disk when this returns."""
        make_private_dir(self.path.parent)
        with FileLock(self.path.with_suffix(".lock"), mode=0o600, fallback_to_soft=False), self._opened() as handle:
            # A record that a crash cut short was never promised to anybody; the next one must not run into it.
            whole = self.path.read_bytes()
            os.ftruncate(handle, whole.rfind(b"\n") + 1)
            os.write(handle, "".join(f"{line}\n" for line in lines).encode())
            os.fsync(handle)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)


def explain_invalid(path: Path, error: ValidationError) -> Permanent:
    """A release file that does not say what a release says."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return Permanent(
        f"{path.name}: {where}: {first['msg']}",
        stage="release",
        error_class=ErrorClass.CONFIG,
        next_step="restore the file from Git; releases are never edited",
    )
