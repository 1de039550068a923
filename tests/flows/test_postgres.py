"""The service on a real Postgres, by one setting."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infraflux.config.environments import Environment
from infraflux.service.lifecycle import Service
from infraflux.service.settings import load_settings
from infraflux.service.trigger import start_run

FIXTURE = Path(__file__).parents[1] / "fixtures" / "service_project"
SHIPPED = Path(__file__).parents[2]
DEADLINE_S = 180.0
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def server_user() -> str | None:
    """Postgres refuses to run as root; Debian's package brings a user for it."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(not BINARIES, reason="no Postgres under /usr/lib/postgresql"),
    pytest.mark.skipif(os.getuid() == 0 and server_user() is None, reason="root without a user postgres"),
]


def run_as(user: str | None, root: Path, *argv: str | Path) -> None:
    """One of Postgres' programs, as the user it accepts."""
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=root, user=user, timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty database of a server that lives as long as the test."""
    binaries, user, port = BINARIES[-1], server_user(), free_port()
    root = Path(tempfile.mkdtemp(prefix="infraflux-pg-"))
    if user:
        shutil.chown(root, user)
    data = root / "data"
    try:
        run_as(user, root, binaries / "initdb", "-D", data, "-U", "prefect", "--auth=trust", "-E", "UTF8")
        options = f"-h 127.0.0.1 -p {port} -k {root} -c fsync=off"
        control = [binaries / "pg_ctl", "-D", data, "-w", "-l", root / "log"]
        run_as(user, root, *control, "-o", options, "start")
        try:
            run_as(user, root, binaries / "createdb", "-h", root, "-p", str(port), "-U", "prefect", "prefect")
            yield f"postgresql+asyncpg://prefect:unused@127.0.0.1:{port}/prefect"
        finally:
            run_as(user, root, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root)


def test_a_run_on_postgres(postgres: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(FIXTURE, project)
    (project / "deployments").mkdir(exist_ok=True)
    for name in ("work-pool.yaml", "automations.yaml"):
        shutil.copy(SHIPPED / "deployments" / name, project / "deployments" / name)
    (project / "database-url").write_text(postgres + "\n")
    service = Service(project, load_settings(project, port=free_port(), database="file:database-url"))
    try:
        service.start()
        service.wait()
        service.configure(environments=[Environment("dev", None, ("probe-1",))])
        run = start_run(service.api(), "probe/dev", name="probe-test", parameters={})
        deadline = time.monotonic() + DEADLINE_S
        while service.api().get(f"/flow_runs/{run}")["state"]["type"] != "COMPLETED":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert not list(service.paths.prefect_home.glob("prefect.db*"))
        assert postgres not in service.paths.supervisor_config.read_text()
    finally:
        service.stop()
