"""What a user may set about the service: `deployments/service.yaml`, and two variables for one machine's needs."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

from infraflux.core.errors import ErrorClass, Permanent
from infraflux.service.files import read_json
from infraflux.service.paths import ServicePaths

Port = Annotated[int, Field(ge=1024, le=65535)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Worker(Section):
    """The process worker."""

    pool: str = "infraflux"
    poll_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    """Seconds between two looks for scheduled runs; half of it is the mean wait of a triggered run."""


class Server(Section):
    """The Prefect server."""

    host: str = "127.0.0.1"
    port: Port = 4200
    database: str = "sqlite"
    """`sqlite`, or where to read an asyncpg URL from: `env:NAME` or `file:PATH`; it carries a password."""
    retention_days: Annotated[int, Field(ge=1)] = 90
    """Finished runs older than this are vacuumed."""


class ServiceSettings(Section):
    """`deployments/service.yaml`."""

    server: Server = Server()
    worker: Worker = Worker()

    @property
    def url(self) -> str:
        return f"http://{self.server.host}:{self.server.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api"


def file_port(project: Path) -> int | None:
    """The port that the file itself says."""
    path = project / "deployments" / "service.yaml"
    raw = YAML(typ="safe").load(path) if path.is_file() else {}
    port = ((raw or {}).get("server") or {}).get("port")
    return int(port) if port is not None else None


def load_settings(project: Path, *, port: int | None = None, database: str | None = None) -> ServiceSettings:
    """Read the file; `port` and `database` are this machine's overrides. Permanent with every mistake in the file.

    Without an override, a service that was started here with one is found where it listens.
    """
    path = project / "deployments" / "service.yaml"
    raw = YAML(typ="safe").load(path) if path.is_file() else {}
    server = {**(raw or {}).get("server", {})}
    started = read_json(ServicePaths(project).started) or {}
    if port is None and started.get("file_port") == server.get("port"):
        port = started.get("port")
    if port is not None:
        server["port"] = port
    if database is not None:
        server["database"] = database
    try:
        return ServiceSettings.model_validate({**(raw or {}), "server": server})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Permanent(
            f"{path}: {problems}", stage="service", error_class=ErrorClass.CONFIG, next_step="correct the file"
        ) from None


def resolve_database(reference: str, *, project: Path, prefect_home: Path) -> str:
    """The SQLAlchemy URL behind `reference`. Permanent where it points at nothing; never shows what it read."""
    if reference == "sqlite":
        return f"sqlite+aiosqlite:///{prefect_home / 'prefect.db'}"
    kind, _, place = reference.partition(":")
    value = ""
    if kind == "env":
        value = os.environ.get(place, "")
    elif kind == "file":
        path = project / place
        value = path.read_text().strip() if path.is_file() else ""
    if not value.startswith("postgresql+asyncpg://"):
        raise Permanent(
            f"server.database is {reference!r}, which holds no postgresql+asyncpg:// URL",
            stage="service",
            error_class=ErrorClass.CONFIG,
            next_step="set it to sqlite, or to env:NAME or file:PATH with a URL there",
        )
    return value
