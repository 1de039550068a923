"""An environment is one file: what is missing in it is told before there is a cluster, and home alone is enough."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.cli.main import run
from infraflux.config.environments import Environment, known_environments
from infraflux.config.load import Fleet, examine
from infraflux.config.parity import compare, refused, sources_of
from infraflux.operations.chart_check import cases
from infraflux.service.register import names_of, written_out_file
from infraflux.service.sync import load_wanted

ROOT = Path(__file__).parents[3]
NEW = ["env", "new", "home", "--endpoint", "https://10.0.0.5:8006", "--node-cidr", "10.0.0.0/24", "--host", "pve"]
LAB = ("127.77", "infraflux/lab")


@pytest.fixture
def project(tmp_path, monkeypatch):
    for part in ("config", "clusters", "platform", "deployments", "prefect.yaml"):
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def home(project):
    """The project with `home` alone: the samples are gone."""
    for sample in known_environments(project):
        (project / f"config/environments/{sample.name}.yaml").unlink()
        shutil.rmtree(project / f"clusters/overlays/{sample.name}")
    assert run(NEW) == 0
    assert run(["cluster", "new", "home/home-1"]) == 0
    return project


def change(project, section, key, value=None):
    """Give a key of the new environment's file another value; take it out without one."""
    path = project / "config/environments/home.yaml"
    document = YAML(typ="safe").load(path)
    target = document[section]
    if value is None:
        del target[key]
    else:
        target[key] = value
    YAML(typ="safe").dump(document, path)


MISSING = {
    "endpoint": ("proxmox", "endpoint", "proxmox.endpoint: is missing"),
    "token": ("proxmox", "token", "proxmox.token: is missing"),
    "hosts": ("proxmox", "hosts", "proxmox.hosts: is missing"),
    "network": ("network", "node_cidr", "network.node_cidr: is missing"),
    "Git": ("gitops", "platform", "gitops.platform.url: is missing"),
}


@pytest.mark.parametrize(("section", "key", "says"), MISSING.values(), ids=MISSING)
def test_what_an_environment_lacks_is_told_before_it_has_a_cluster(project, capsys, section, key, says):
    assert run(NEW) == 0
    assert run(["config", "validate", "home"]) == 0
    change(project, section, key)
    for argv in (["config", "validate"], ["config", "validate", "home"]):
        capsys.readouterr()
        assert run(argv) == 1
        assert re.match(rf"config/environments/home\.yaml:\d+: {re.escape(says)}", capsys.readouterr().err)


def test_a_wrong_value_is_told_with_its_line(project, capsys):
    assert run(NEW) == 0
    change(project, "proxmox", "endpoint", "pve")
    assert run(["config", "validate", "home"]) == 1
    assert "proxmox.endpoint: 'pve' is not valid here" in capsys.readouterr().err


def test_the_defaults_hold_nothing_of_the_lab():
    for part in ("config/defaults", "clusters/base", "clusters/templates"):
        for path in (ROOT / part).glob("*.yaml"):
            assert not [word for word in LAB if word in path.read_text()], path


def test_a_new_environment_has_nothing_of_the_lab(home):
    text = Fleet.load(home).cluster("home/home-1").model_dump_json()
    assert not [word for word in LAB if word in text]


def test_home_alone_validates_and_is_like_itself(home):
    fleet = Fleet.load(home)
    assert fleet.environments == ("home",)
    assert sources_of(fleet) == {"home": None}
    assert refused(compare(fleet)) == []
    for argv in (["config", "validate"], ["config", "parity"], ["env", "list"], ["config", "show", "home/home-1"]):
        assert run(argv) == 0


def test_home_beside_the_samples_is_held_against_nothing_of_them(project):
    assert run(NEW) == 0
    assert run(["cluster", "new", "home/home-1"]) == 0
    change(project, "proxmox", "cpu_type", "host")
    assert refused(compare(Fleet.load(project))) == []


def test_deployments_queues_and_locks_of_home_alone(home):
    environments = known_environments(home)
    assert environments == (Environment("home", None, ("home-1",)),)
    names = names_of(written_out_file(home, environments))
    # Nothing is promoted to the only environment there is; what is not an environment's stays.
    own = ["deploy/home", "destroy/home", "operate/home"]
    assert sorted(names) == sorted(["alert/automation", *own, "drift/adhoc", "drift/nightly"])
    wanted = load_wanted(home / "deployments", pool="infraflux", command="x", environments=environments)
    assert [queue["name"] for queue in wanted.queues] == ["home", "control"]
    assert wanted.limits == ["cluster:home:home-1"]


def test_a_chain_of_two_is_promoted(home):
    assert run([word.replace("home", "prod").replace("10.0.0.", "10.0.9.") for word in NEW] + ["--from", "home"]) == 0
    names = names_of(written_out_file(home, known_environments(home)))
    assert {"promote/prod", "rollback/prod"} <= set(names)
    assert "promote/home" not in names


def test_deployments_are_known_while_a_file_is_broken(home):
    (home / "config/environments/broken.yaml").write_text("proxmox: [")
    assert [one.name for one in known_environments(home)] == ["broken", "home"]


def test_the_platform_of_home_is_base(home):
    """Nothing of the samples' overlays reaches it, and every component has what it needs without one."""
    fleet = Fleet.load(home)
    found = [one for one in cases(home / "platform", list(fleet.clusters.values())) if one.where == "base"]
    assert len(found) == len(list((home / "platform").glob("infrastructure/*/component.yaml")))
    assert all(path.parent.name == "base" for one in found for path in one.files)


def test_no_problem_is_told_twice(home):
    assert examine(home).problems == ()
