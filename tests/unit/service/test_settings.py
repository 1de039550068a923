"""The service's settings, secrets and the environment made from them."""

import stat
from pathlib import Path

import pytest

from infraflux.core.errors import Permanent
from infraflux.service.credentials import ensure_credentials, load_credentials
from infraflux.service.environment import inherited, service_environment
from infraflux.service.paths import SOCKET_PATH_LIMIT, ServicePaths
from infraflux.service.settings import ServiceSettings, load_settings, resolve_database


def project(tmp_path: Path, text: str) -> Path:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "service.yaml").write_text(text)
    return tmp_path


def test_the_shipped_file_says_the_defaults() -> None:
    shipped = load_settings(Path(__file__).parents[3])
    assert shipped == ServiceSettings()


def test_overrides_of_one_machine_win(tmp_path: Path) -> None:
    settings = load_settings(project(tmp_path, "server: {port: 4300}"), port=4400, database="env:DB")
    assert (settings.server.port, settings.server.database) == (4400, "env:DB")
    assert settings.api_url == "http://127.0.0.1:4400/api"


def test_a_service_started_on_another_port_is_found_there(tmp_path: Path) -> None:
    root = project(tmp_path, "server: {port: 4300}")
    paths = ServicePaths(root)
    paths.make()
    paths.started.write_text('{"digest": "d", "port": 4999, "file_port": 4300}')
    assert load_settings(root).server.port == 4999
    assert load_settings(root, port=5000).server.port == 5000
    (root / "deployments" / "service.yaml").write_text("server: {port: 4301}")
    assert load_settings(root).server.port == 4301


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("server: {prot: 1}", "server.prot: Extra inputs are not permitted", id="unknown-key"),
        pytest.param("server: {port: 80}", "server.port: Input should be greater than or equal to 1024", id="low-port"),
        pytest.param("worker: {poll_s: 0}", "worker.poll_s: Input should be greater than 0", id="poll-zero"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Permanent, match=message) as raised:
        load_settings(project(tmp_path, text))
    assert raised.value.error_class == "config"


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(Permanent) as raised:
        load_settings(project(tmp_path, "server: {port: 80}\nworker: {poll_s: 0}"))
    assert "server.port" in str(raised.value)
    assert "worker.poll_s" in str(raised.value)


URL = "postgresql+asyncpg://me:canary-secret@db/prefect"


def test_database_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "db-url").write_text(URL + "\n")
    assert resolve_database("file:db-url", project=tmp_path, prefect_home=tmp_path) == URL


def test_database_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DB_URL", URL)
    assert resolve_database("env:TEST_DB_URL", project=tmp_path, prefect_home=tmp_path) == URL


@pytest.mark.parametrize("reference", ["env:NOT_SET_ANYWHERE", "file:absent", "mysql", URL])
def test_database_that_is_none(tmp_path: Path, reference: str) -> None:
    with pytest.raises(Permanent, match="holds no postgresql"):
        resolve_database(reference, project=tmp_path, prefect_home=tmp_path)


def test_credentials_are_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    assert load_credentials(path) is None
    made = ensure_credentials(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_credentials(path) == made == load_credentials(path)
    assert made.password not in repr(made)
    assert made.encryption_key not in repr(made)


def test_only_named_variables_are_inherited() -> None:
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "canary", "INFRAFLUX_X": "1", "PREFECT_API_URL": "else"}
    assert inherited(environ) == {"PATH": "/bin", "INFRAFLUX_X": "1"}


def test_a_custom_port_reaches_the_ui(tmp_path: Path) -> None:
    credentials = ensure_credentials(tmp_path / "c")
    environment = service_environment(
        ServiceSettings.model_validate({"server": {"port": 4301}}),
        credentials,
        ServicePaths(tmp_path),
        database_url="sqlite+aiosqlite:///x",
    )
    assert environment["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4301/api"
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == credentials.auth_string
    assert environment["PREFECT_SERVER_ENCRYPTION_KEY"] == credentials.encryption_key


def test_every_prefect_variable_is_a_setting_of_this_prefect(tmp_path: Path) -> None:
    from prefect.settings import Settings  # noqa: PLC0415 - 2 s that only this test needs

    def names(model: type) -> set[str]:
        found: set[str] = set()
        for field in model.model_fields.values():  # type: ignore[attr-defined]
            if hasattr(field.annotation, "model_fields"):
                found |= names(field.annotation)
            elif field.validation_alias is not None and hasattr(field.validation_alias, "choices"):
                found |= {str(one).upper() for one in field.validation_alias.choices}
        return found

    prefixes = {
        f"{model.model_config.get('env_prefix', '')}{name}".upper()
        for model in models(Settings)
        for name in model.model_fields
    }
    environment = service_environment(
        ServiceSettings(), ensure_credentials(tmp_path / "c"), ServicePaths(tmp_path), database_url="x"
    )
    # Read by the server straight from the environment (prefect/server/utilities/encryption.py).
    apart = {"PREFECT_SERVER_ENCRYPTION_KEY"}
    unknown = {key for key in environment if key.startswith("PREFECT_")} - prefixes - names(Settings) - apart
    assert unknown == set()


def models(model: type) -> list[type]:
    """A settings model and all below it."""
    below = [field.annotation for field in model.model_fields.values() if hasattr(field.annotation, "model_fields")]  # type: ignore[attr-defined]
    return [model, *(inner for one in below for inner in models(one))]


def test_a_long_project_path_moves_the_sockets(tmp_path: Path) -> None:
    deep = ServicePaths(tmp_path / ("d" * 120))
    assert len(str(deep.supervisor_socket)) < SOCKET_PATH_LIMIT
    assert deep.sockets != ServicePaths(tmp_path / ("e" * 120)).sockets
    short = ServicePaths(Path("/srv/infraflux"))
    assert short.sockets == short.root


def test_directories_are_private(tmp_path: Path) -> None:
    paths = ServicePaths(tmp_path)
    paths.make()
    for directory in (paths.state, paths.root, paths.logs, paths.runs):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
