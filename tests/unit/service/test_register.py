"""Registering the deployments of the environments there are: once, privately, and without those that are gone."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from infraflux.config.environments import Environment
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.service import register as module

ROOT = Path(__file__).parents[3]
HOME = Environment("home", None, ("home-1",))
DEV, PROD = Environment("dev", None, ("dev-1",)), Environment("prod", "dev", ("prod-1",))


class Api:
    """A server that has what it was told to register."""

    def __init__(self) -> None:
        self.gone: list[str] = []

    def post(self, path: str) -> int:
        assert path == "/deployments/count"
        return 1

    def find(self, path: str) -> dict[str, Any]:
        return {"id": path.removeprefix("/deployments/name/")}

    def delete(self, path: str) -> None:
        self.gone.append(path)


class Prefect:
    """`prefect deploy --all`, remembering the file it was given."""

    def __init__(self) -> None:
        self.says, self.files = "", []  # type: str, list[Any]

    def run(self, argv: list[str], **_settings: Any) -> Any:
        path = Path(argv[-1])
        self.files.append((YAML(typ="safe").load(path), path.stat().st_mode & 0o777))
        return SimpleNamespace(returncode=0, stdout=self.says, stderr="")


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    fake = Prefect()
    monkeypatch.setattr(module, "run", fake.run)
    return fake


def register(root: Path, api: Api, *environments: Environment) -> Outcome:
    record = root / ".infraflux" / "registered.json"
    return module.register(root, environments=environments, environ={}, server="s", record=record, api=api)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "prefect.yaml", tmp_path / "prefect.yaml")
    return tmp_path


def test_prefect_reads_every_environment_written_out_and_nobody_else_does(project: Path, prefect: Prefect) -> None:
    assert isinstance(register(project, Api(), DEV, PROD), Done)
    ((document, mode),) = prefect.files
    assert mode == 0o600
    assert "<" not in "".join(one["name"] for one in document["deployments"])
    assert {"deploy/dev", "deploy/prod", "promote/prod"} <= set(module.names_of(document))
    assert document["pull"] == YAML(typ="safe").load(ROOT / "prefect.yaml")["pull"]


def test_nothing_is_done_twice(project: Path, prefect: Prefect) -> None:
    register(project, Api(), HOME)
    assert isinstance(register(project, Api(), HOME), Noop)
    assert len(prefect.files) == 1


def test_a_new_environment_is_registered_without_any_change_of_prefect_yaml(project: Path, prefect: Prefect) -> None:
    register(project, Api(), DEV)
    assert isinstance(register(project, Api(), DEV, HOME), Done)
    assert len(prefect.files) == 2


def test_what_an_environment_had_goes_with_it_the_triggers_first(project: Path, prefect: Prefect) -> None:
    api = Api()
    register(project, api, DEV, PROD)
    outcome = register(project, api, DEV)
    names = ["deploy/prod", "destroy/prod", "operate/prod", "promote/prod", "rollback/prod"]
    assert str(outcome).endswith(f"removed {', '.join(names)}")
    assert api.gone == [
        path for name in names for path in (f"/automations/owned-by/prefect.deployment.{name}", f"/deployments/{name}")
    ]


def test_a_deployment_that_failed_fails_the_registration(project: Path, prefect: Prefect) -> None:
    prefect.says = "Deployment deploy/dev failed"
    with pytest.raises(Permanent, match=r"correct prefect\.yaml"):
        register(project, Api(), DEV)
    prefect.says = ""
    assert isinstance(register(project, Api(), DEV), Done)
