"""Bring the service up, take it down, say how it is."""

import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from infraflux.config.environments import Environment
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.service.api import PrefectApi
from infraflux.service.credentials import Credentials, ensure_credentials, load_credentials
from infraflux.service.environment import client_environment, inherited, service_environment
from infraflux.service.files import read_json, write_if_changed, write_json
from infraflux.service.forms import fill_forms
from infraflux.service.paths import ServicePaths
from infraflux.service.programs import healthy, wait_healthy
from infraflux.service.register import register
from infraflux.service.settings import ServiceSettings, file_port, resolve_database
from infraflux.service.supervisor import ProgramStatus, Supervisor, render_config
from infraflux.service.sync import launch_command, load_wanted, sync

CLIENT_ENV_MARK = "# Written by `infraflux service up`: Prefect's clients in this directory find the server by it.\n"


@dataclass(frozen=True)
class Status:
    """How the service is."""

    programs: Sequence[ProgramStatus]
    healthy: bool
    url: str
    credentials: Path
    logs: Path
    database: str


class Service:
    """The service of one project."""

    def __init__(self, project: Path, settings: ServiceSettings, environ: Mapping[str, str] = os.environ) -> None:
        self.paths = ServicePaths(project)
        self.settings = settings
        self.supervisor = Supervisor(self.paths)
        self._environ = environ

    def credentials(self) -> Credentials:
        """The secrets; Permanent where the service was never set up."""
        found = load_credentials(self.paths.credentials)
        if found is None:
            raise Permanent("the service was never started here", stage="service", next_step="infraflux service up")
        return found

    def api(self) -> PrefectApi:
        return PrefectApi(self.settings.api_url, self.credentials())

    def environment(self) -> dict[str, str]:
        """The whole environment of the supervised programs."""
        database = resolve_database(
            self.settings.server.database, project=self.paths.project, prefect_home=self.paths.prefect_home
        )
        return {
            **inherited(self._environ),
            **service_environment(self.settings, self.credentials(), self.paths, database_url=database),
            "INFRAFLUX_WORKER_POOL": self.settings.worker.pool,
        }

    def start(self) -> Outcome:
        """Start what does not run, restart what runs with other settings; returns before the server answers."""
        self.paths.make()
        ensure_credentials(self.paths.credentials)
        environment = self.environment()
        digest = self._digest()
        if self.supervisor.running():
            if (read_json(self.paths.started) or {}).get("digest") == digest:
                return Noop("the service runs with these settings")
            self.supervisor.stop()
            what = "restarted the service with changed settings"
        else:
            what = "started the service"
        self._check_port()
        self.supervisor.start(environment)
        started = {"digest": digest, "port": self.settings.server.port, "file_port": file_port(self.paths.project)}
        write_json(self.paths.started, started)
        return Done(what)

    def _digest(self) -> str:
        """Of what needs a restart when it changes; the user's shell is not part of it."""
        environment = {key: value for key, value in self.environment().items() if key not in inherited(self._environ)}
        versions = [version("infraflux"), version("prefect")]
        text = json.dumps([versions, render_config(self.paths), sorted(environment.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def _check_port(self) -> None:
        address = (self.settings.server.host, self.settings.server.port)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise Permanent(
                    f"{address[0]}:{address[1]} cannot be bound ({error.strerror})",
                    stage="service",
                    error_class=ErrorClass.CONFLICT,
                    next_step="stop what listens there, or choose another port with INFRAFLUX_PORT",
                ) from None

    def wait(self) -> None:
        """Until the server answers."""
        if not wait_healthy(self.settings.api_url):
            raise Retryable(
                "the Prefect server does not answer",
                stage="service",
                error_class=ErrorClass.INTERNAL,
                next_step=f"read {self.paths.logs / 'server.log'}",
            )

    def configure(self, *, environments: Sequence[Environment]) -> list[Outcome]:
        """Pools, locks, automations and deployments of these environments; needs the server."""
        api = self.api()
        wanted = load_wanted(
            self.paths.project / "deployments",
            pool=self.settings.worker.pool,
            command=launch_command(self.paths.forkserver_socket),
            environments=environments,
        )
        client = client_environment(self.settings, self.credentials())
        # The pool first: `prefect deploy` refuses a pool that is not there.
        synced = sync(api, wanted)
        registered = register(
            self.paths.project,
            environments=environments,
            environ={**client, "PREFECT_HOME": str(self.paths.prefect_home)},
            server=f"{self.settings.api_url} {self.settings.server.database}",
            record=self.paths.registered,
            api=api,
        )
        clusters = [key for environment in environments for key in environment.keys]
        return [synced, registered, fill_forms(api, clusters), self.write_client_env(client)]

    def write_client_env(self, client: Mapping[str, str]) -> Outcome:
        """`.env` in the project, which every Prefect client reads; one that is not ours is left alone."""
        path = self.paths.client_env
        if path.is_file() and not path.read_text().startswith(CLIENT_ENV_MARK):
            return Noop(f"{path.name} is not ours; `infraflux service env` prints what a Prefect client needs")
        text = CLIENT_ENV_MARK + "".join(f"{key}={value}\n" for key, value in client.items())
        return Done(f"wrote {path.name}") if write_if_changed(path, text) else Noop(f"{path.name} is up to date")

    def stop(self) -> Outcome:
        """Stop everything, in order, and wait for it."""
        return Done("stopped the service") if self.supervisor.stop() else Noop("the service does not run")

    def status(self) -> Status:
        return Status(
            programs=self.supervisor.status(),
            # Where none was ever started here, what answers at the port is the service of another checkout.
            healthy=self.paths.credentials.exists() and healthy(self.settings.api_url),
            url=self.settings.url,
            credentials=self.paths.credentials,
            logs=self.paths.logs,
            database=self.settings.server.database,
        )
