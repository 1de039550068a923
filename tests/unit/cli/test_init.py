"""`infraflux init` without a terminal, on a site that is looked at by a fake: what it says and writes."""

import shutil
from pathlib import Path

import pytest
from fakes.projects import commit_all, git
from fakes.sites import ONE_HOST

from infraflux.cli import init as command
from infraflux.cli.init_answers import normal_endpoint
from infraflux.cli.main import run
from infraflux.config.load import Fleet
from infraflux.core.errors import Permanent

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for part in ("config", "clusters", "platform"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / ".gitignore").write_text("/.infraflux/\n/secret\n")
    git(tmp_path, "init", "-q", "-b", "main")
    commit_all(tmp_path)
    (tmp_path / "secret").write_text("the-secret\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.site_setup, "look_at", lambda accesses: [ONE_HOST] * len(accesses))
    monkeypatch.setattr(command.site_setup.propose_for, "__kwdefaults__", {"probe": lambda _addresses: ()})
    monkeypatch.setattr(command.site_setup, "zones_of", lambda _spec, _root: {})
    return tmp_path


INIT = ["init", "home", "--yes", "--endpoint", "192.168.1.5", "--token-file", "secret"]


def test_it_writes_a_valid_environment_and_removes_the_samples(project, capsys):
    assert run(INIT) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "wrote config/environments/home.yaml" in shown
    assert "removed config/environments/dev.yaml (a sample of the lab)" in shown
    assert "Git: gitops.platform.url" in shown
    assert "pveum role add InfrafluxMachines-home" in shown
    assert shown.rstrip().endswith("next: infraflux up")
    assert "the-secret" not in shown
    fleet = Fleet.load(project)
    assert list(fleet.clusters) == ["home/home-1"]
    assert fleet.cluster("home/home-1").proxmox.token.id == "infraflux@pve!home"
    assert not list(project.glob("platform/infrastructure/*/overlays"))


def test_again_changes_nothing(project, capsys):
    assert run([*INIT, "--keep-lab"]) == 0
    before = git(project, "status", "--porcelain")
    capsys.readouterr()
    assert run(INIT) == 0
    assert "home is there already (config/environments/home.yaml): nothing was changed" in capsys.readouterr().out
    assert git(project, "status", "--porcelain") == before


KEPT = {
    "wanted": (lambda _root: None, ["--keep-lab"], "kept the samples: --keep-lab"),
    "changed": (lambda root: (root / "clusters/overlays/dev/mine.md").write_text("mine\n"), [], "not committed"),
    "standing": (
        lambda root: (
            (root / ".infraflux/terraform/dev/dev-1").mkdir(parents=True)
            or (root / ".infraflux/terraform/dev/dev-1/terraform.tfstate").write_text("{}")
        ),
        [],
        "dev stands in the lab",
    ),
}


@pytest.mark.parametrize(("before", "words", "says"), KEPT.values(), ids=KEPT)
def test_samples_stay_where_they_are_wanted_or_in_use(project, capsys, before, words, says):
    before(project)
    assert run([*INIT, *words]) == 0
    assert says in capsys.readouterr().out
    assert len(Fleet.load(project).clusters) == 4


def test_the_origin_of_the_checkout_is_what_the_cluster_reads(project):
    git(project, "remote", "add", "origin", "https://me:word@git.example.net/me/infraflux.git")
    assert run(INIT) == 0
    assert Fleet.load(project).cluster("home/home-1").gitops.platform.url == "https://git.example.net/me/infraflux.git"


def test_a_ca_from_elsewhere_is_kept_in_the_repository(project, tmp_path_factory):
    ca_file = tmp_path_factory.mktemp("elsewhere") / "pve-root-ca.pem"
    ca_file.write_text("-----BEGIN CERTIFICATE-----\n")
    assert run([*INIT, "--ca-file", str(ca_file)]) == 0
    assert Fleet.load(project).cluster("home/home-1").proxmox.ca_file == "config/ca/home.pem"
    assert (project / "config/ca/home.pem").read_text() == ca_file.read_text()


WRONG = {
    "no endpoint": (["init", "home", "--yes"], "--endpoint is needed"),
    "no secret": (["init", "home", "--yes", "--endpoint", "pve.lan"], "does not hold the token's secret"),
    "no CA": ([*INIT, "--ca-file", "nowhere.pem"], "there is no file nowhere.pem"),
    "two hosts": ([*INIT, "--endpoint", "192.168.1.6"], "2 Proxmox installations"),
    "no network": ([*INIT, "--node-cidr", "10.0.0.1/24"], "node_cidr"),
    "no range": ([*INIT, "--addresses", "10.0.0.9-10.0.0.1"], "addresses"),
    "no name": (["init", "Home", *INIT[2:]], "no name"),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_and_nothing_is_written(project, capsys, words, says):
    assert run(words) == 1
    assert says in capsys.readouterr().err
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("10.0.0.5", "https://10.0.0.5:8006"),
        ("pve.lan:443", "https://pve.lan:443"),
        ("https://pve.lan:8006/", "https://pve.lan:8006"),
        ("https://pve.lan", "https://pve.lan:8006"),
        (" pve.lan ", "https://pve.lan:8006"),
    ],
)
def test_an_endpoint_may_be_said_shortly(said, url):
    assert normal_endpoint(said) == url


def test_a_broken_file_of_answers_is_named(project):
    (project / "answers.yaml").write_text("[")
    with pytest.raises(Permanent, match=r"answers\.yaml: cannot be read as YAML"):
        command.read_answers(project / "answers.yaml", {})
