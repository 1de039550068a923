"""`infraflux up` does what the environments ask for: the lab for those of the lab, and nothing unasked for others."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from infraflux.cli import up as command
from infraflux.cli.main import run
from infraflux.config.environments import known_environments
from infraflux.core.outcomes import Done

ROOT = Path(__file__).parents[3]
NEW = ["env", "new", "home", "--endpoint", "https://10.0.0.5:8006", "--node-cidr", "10.0.0.0/24", "--host", "pve"]


class Service:
    """A service that is told to start and does."""

    def __init__(self, project):
        self.paths = SimpleNamespace(project=project, state=project / ".infraflux", credentials=project / "credentials")
        self.settings = SimpleNamespace(url="http://127.0.0.1:4200")

    def start(self):
        return Done("started the service")

    def wait(self):
        pass

    def configure(self, *, environments):
        return [Done(f"registered {len(environments)} environments")]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for part in ("config", "clusters"):
        shutil.copytree(ROOT / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    assert run(NEW) == 0
    assert run(["cluster", "new", "home/home-1"]) == 0
    return tmp_path


@pytest.fixture
def done(project, monkeypatch):
    """What `up` did, in order."""
    seen = []
    lab = SimpleNamespace(up=lambda: seen.append("lab up"))
    monkeypatch.setattr(command, "open_service", lambda _port, _database: Service(project))
    monkeypatch.setattr(command.tools, "install", lambda group: seen.append(f"install {group.value}"))
    monkeypatch.setattr(command, "import_lab", lambda: lab)
    monkeypatch.setattr(command, "deploy_first", lambda _service, key, _console: seen.append(f"deploy {key}"))
    return seen


def remove_samples(project):
    for one in known_environments(project):
        if one.simulated:
            (project / f"config/environments/{one.name}.yaml").unlink()
            shutil.rmtree(project / f"clusters/overlays/{one.name}")


def test_with_the_samples_the_lab_starts_and_the_first_of_them_is_deployed(done):
    command.up()
    assert done == ["install up", "lab up", "deploy dev/dev-1"]


def test_on_own_hardware_nothing_is_deployed_that_nobody_asked_for(project, done, capsys):
    remove_samples(project)
    command.up()
    assert done == ["install real"]
    assert "prefect deployment run deploy/home, or infraflux deploy home/home-1" in capsys.readouterr().out


def test_what_is_asked_for_is_deployed(project, done):
    remove_samples(project)
    command.up(cluster="home/home-1")
    assert done == ["install real", "deploy home/home-1"]


def test_without_any_environment_the_next_step_is_init(project, done, capsys):
    remove_samples(project)
    (project / "config/environments/home.yaml").unlink()
    shutil.rmtree(project / "clusters/overlays/home")
    command.up()
    assert done == ["install real"]
    assert "infraflux init" in capsys.readouterr().out
