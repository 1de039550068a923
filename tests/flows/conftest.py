"""One Prefect server for the whole session; heartbeats off, since each sync flow run would sleep a second for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A server on a free port with its own database, gone after the session."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def server(prefect_server: None) -> Iterator[None]:
    """The settings each test runs flows with."""
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: True}):
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configuration in a directory of its own, as the working directory."""
    shipped = Path(__file__).parents[2]
    for name in ("config", "clusters", "deployments", "flows", "tasks", "platform", "terraform", "prefect.yaml"):
        (tmp_path / name).symlink_to(shipped / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
