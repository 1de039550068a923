"""The environment each process of the service runs with."""

from collections.abc import Mapping

from infraflux.service.credentials import Credentials
from infraflux.service.paths import ServicePaths
from infraflux.service.settings import ServiceSettings

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE")
"""Programs are found by these; INFRAFLUX_* and proxy variables come along too, nothing else of the user's shell."""

INHERITED_PREFIXES = ("INFRAFLUX_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the caller's environment the service keeps."""
    return {key: value for key, value in environ.items() if key in INHERITED or key.startswith(INHERITED_PREFIXES)}


def client_environment(settings: ServiceSettings, credentials: Credentials) -> dict[str, str]:
    """What a Prefect client needs to find the server."""
    return {"PREFECT_API_URL": settings.api_url, "PREFECT_API_AUTH_STRING": credentials.auth_string}


def service_environment(
    settings: ServiceSettings, credentials: Credentials, paths: ServicePaths, *, database_url: str
) -> dict[str, str]:
    """Prefect settings of server and worker; each line differs from Prefect's default for the reason beside it."""
    return {
        **client_environment(settings, credentials),
        "PREFECT_HOME": str(paths.prefect_home),
        "PREFECT_LOCAL_STORAGE_PATH": str(paths.prefect_home / "results"),
        "PREFECT_SERVER_API_HOST": settings.server.host,
        "PREFECT_SERVER_API_PORT": str(settings.server.port),
        # Without these two the UI shows a blank page on any port but 4200.
        "PREFECT_UI_URL": settings.url,
        "PREFECT_SERVER_UI_API_URL": settings.api_url,
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_API_AUTH_STRING": credentials.auth_string,
        "PREFECT_SERVER_ENCRYPTION_KEY": credentials.encryption_key,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url,
        # In memory, one server restart would crash every run that holds a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # By default only events are vacuumed and flow runs pile up for ever.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(settings.server.retention_days * 86400),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": str(settings.worker.poll_s),
        # Looking ahead 10 s makes the worker hold a run that is due later; the poll is short enough.
        "PREFECT_WORKER_PREFETCH_SECONDS": "1",
        # Log lines reach the UI within this many seconds; the default of 2 makes a run look stuck.
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_LOGGING_COLORS": "false",
        "PYTHONUNBUFFERED": "1",
        # The pull step of prefect.yaml goes there.
        "INFRAFLUX_PROJECT": str(paths.project),
        "INFRAFLUX_STATE_DIR": str(paths.state),
        "INFRAFLUX_FORKSERVER_SOCKET": str(paths.forkserver_socket),
    }
