"""Where the lab keeps things, and how they survive `kill -9`.

Small documents live in one SQLite file in WAL mode: a commit is in the operating system's hands when it returns, so
only a power cut of the laptop itself can lose the last moments, and even that never leaves a torn document.
"""

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infraflux.core.locks import Taken, holder_of, take

if TYPE_CHECKING:
    from filelock import FileLock

DEFAULT_STATE_DIR = Path(".infraflux") / "lab"
# sun_path of a Unix socket holds 108 bytes with the closing NUL.
SOCKET_PATH_BYTES = 107


class LabError(Exception):
    """Something a user of the lab can act on; shown without a traceback."""


@dataclass(frozen=True, kw_only=True)
class LabPaths:
    """All files of one lab, below one directory (0700)."""

    root: Path

    def create(self) -> "LabPaths":
        """Make the directories with their modes; returns self."""
        for directory in (self.root, self.credentials, self.certificates):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory.chmod(0o700)
        return self

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def ca_certificate(self) -> Path:
        return self.root / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.root / "ca.key"

    @property
    def database(self) -> Path:
        return self.root / "lab.sqlite3"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def faults(self) -> Path:
        return self.root / "faults.json"

    @property
    def settings(self) -> Path:
        """What the last `lab up` was told: network prefix, latency."""
        return self.root / "settings.json"

    @property
    def log(self) -> Path:
        return self.root / "daemon.log"

    @property
    def lock(self) -> Path:
        """Held by the running daemon; its content is the process id."""
        return self.root / "daemon.lock"

    @property
    def socket(self) -> Path:
        """Control socket; in a short runtime directory where the state directory's path is too long for one."""
        path = self.root / "control.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"infraflux-lab-{os.getuid()}-{digest}" / "control.sock"


def lab_paths(state_dir: Path) -> LabPaths:
    """Paths of the lab in this state directory (made absolute)."""
    return LabPaths(root=state_dir.expanduser().resolve())


def read_json(path: Path, default: Any) -> Any:
    """Content of a JSON file, or the default where there is none."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default


class Store:
    """Documents by space and key in SQLite; `batch` makes several changes one commit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        # NORMAL in WAL mode: no fsync per commit, and no committed document is lost when the process is killed.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS documents (space TEXT, key TEXT, body TEXT, PRIMARY KEY (space, key))"
        )
        self._depth = 0

    def load(self, space: str) -> dict[str, Any]:
        """All documents of a space."""
        rows = self._connection.execute("SELECT key, body FROM documents WHERE space = ? ORDER BY rowid", (space,))
        return {key: json.loads(body) for key, body in rows}

    def put(self, space: str, key: str, body: Mapping[str, Any]) -> None:
        """Write one document."""
        self._connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (space, key) DO UPDATE SET body = excluded.body",
            (space, key, json.dumps(body)),
        )

    def drop(self, space: str, key: str) -> None:
        """Remove one document; nothing happens where there is none."""
        self._connection.execute("DELETE FROM documents WHERE space = ? AND key = ?", (space, key))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """All writes inside become one commit, or none where the block raises."""
        self._depth += 1
        if self._depth == 1:
            self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._leave("ROLLBACK")
            raise
        self._leave("COMMIT")

    def _leave(self, verb: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._connection.execute(verb)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def acquire_lock(path: Path) -> "FileLock":
    """Take the daemon lock and write our process id into it; LabError names the holder where another daemon runs."""
    try:
        return take(path, who=str(os.getpid()))
    except Taken as taken:
        raise LabError(f"the lab already runs here (process {taken.holder or 'unknown'})") from None


def lock_holder(path: Path) -> int | None:
    """Process id of the running daemon, or None where nobody holds the lock."""
    holder = holder_of(path)
    return int(holder) if holder and holder.isdigit() else None
