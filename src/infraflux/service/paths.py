"""Where the service keeps its files: one 0700 directory inside the project."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infraflux.core.errors import ErrorClass, Permanent

SOCKET_PATH_LIMIT = 100
"""A Unix socket path holds 108 bytes (`sun_path`, unix(7)); the rest is left for the file names."""

PRIVATE_DIR = 0o700


@dataclass(frozen=True)
class ServicePaths:
    """Every path of the service, derived from the project directory."""

    project: Path

    @property
    def state(self) -> Path:
        return self.project / ".infraflux"

    @property
    def root(self) -> Path:
        return self.state / "service"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def prefect_home(self) -> Path:
        return self.root / "prefect"

    @property
    def runs(self) -> Path:
        """One record per running flow: pid, start time, cluster."""
        return self.state / "runs"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def started(self) -> Path:
        """Digest of the settings and port of the service that was started last."""
        return self.root / "started.json"

    @property
    def registered(self) -> Path:
        """What was last synced and registered, so that the second `up` changes nothing."""
        return self.root / "registered.json"

    @property
    def supervisor_config(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.root / "supervisord.pid"

    @property
    def client_env(self) -> Path:
        """Prefect's own `.env` in the project: `prefect deployment run ...` finds the server and the password there."""
        return self.project / ".env"

    @property
    def sockets(self) -> Path:
        """The root, or a directory under the temporary directory where the project's path is too long for a socket."""
        if len(os.fsencode(self.root)) + len("/supervisor.sock") < SOCKET_PATH_LIMIT:
            return self.root
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"infraflux-{os.getuid()}-{digest}"

    @property
    def supervisor_socket(self) -> Path:
        return self.sockets / "supervisor.sock"

    @property
    def forkserver_socket(self) -> Path:
        return self.sockets / "forkserver.sock"

    def make(self) -> None:
        """Create the directories, 0700 and ours."""
        for directory in (self.state, self.root, self.logs, self.prefect_home, self.runs, self.sockets):
            directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            if directory.stat().st_uid != os.getuid():
                raise Permanent(
                    f"{directory} belongs to another user",
                    stage="service",
                    error_class=ErrorClass.CONFLICT,
                    next_step="remove it, or run as the user it belongs to",
                )
            directory.chmod(PRIVATE_DIR)
