"""What stops a deploy of an environment, told in one list; nothing here answers as Proxmox, Git or service."""

import shutil
from pathlib import Path

import pytest
from fakes.projects import commit_all, git

from infraflux.cli.diagnosis import State
from infraflux.cli.doctor_environment import examine_environment
from infraflux.cli.main import run
from infraflux.core.errors import Permanent

ROOT = Path(__file__).parents[3]
# Port 9 (discard) of this machine: nobody listens.
NEW = ["env", "new", "home", "--endpoint", "https://127.0.0.1:9", "--node-cidr", "10.0.0.0/24", "--host", "pve"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for part in ("config", "clusters"):
        shutil.copytree(ROOT / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(project):
    return {(one.subject, one.state, one.detail): one.next_step for one in examine_environment("home", root=project)}


def steps(project, subject):
    return {step for (name, state, _), step in found(project).items() if name == subject and state is not State.OK}


def test_an_environment_that_is_not_there_is_refused(project):
    with pytest.raises(Permanent, match="home"):
        examine_environment("home", root=project)


def test_without_a_cluster_the_next_step_is_one(project):
    assert run(NEW) == 0
    assert steps(project, "configuration") == {"infraflux cluster new home/home-1"}


def test_everything_that_is_in_the_way_is_told_at_once(project):
    assert run(NEW) == 0
    assert run(["cluster", "new", "home/home-1"]) == 0
    shown = found(project)
    assert ("git", State.MISSING, "gitops.platform.url is still to be decided") in shown
    assert steps(project, "token") == {"infraflux proxmox token home, its secret to file:.infraflux/secrets/home.token"}
    assert steps(project, "service") == {"infraflux up"}
    assert ("configuration", State.OK, "home/home-1 valid") in shown


def test_a_token_that_others_may_read_is_told(project):
    assert run(NEW) == 0
    assert run(["cluster", "new", "home/home-1"]) == 0
    token = project / ".infraflux/secrets/home.token"
    token.parent.mkdir(parents=True)
    token.write_text("secret")
    token.chmod(0o644)
    assert steps(project, "token") == {"chmod 600 .infraflux/secrets/home.token"}
    token.chmod(0o600)
    assert steps(project, "token") == set()
    assert any(name == "proxmox" and "did not get through" in detail for name, _, detail in found(project))


def test_push_first(project, tmp_path):
    """The platform is read from Git: a commit that is not there yet cannot be handed over."""
    assert run([*NEW, "--git", "https://git.example.net/me/infraflux.git"]) == 0
    assert run(["cluster", "new", "home/home-1"]) == 0
    assert steps(project, "git") == {"git add --all && git commit"}
    (project / ".gitignore").write_text("/.infraflux/\n/elsewhere.git/\n")
    git(project, "init", "-q", "-b", "main")
    commit_all(project)
    bare = tmp_path / "elsewhere.git"
    git(project, "clone", "-q", "--bare", str(project), str(bare))
    # Git itself is told that this address is the directory: nothing leaves this machine.
    git(project, "config", f"url.{bare}.insteadOf", "https://git.example.net/me/infraflux.git")
    assert steps(project, "git") == set()
    (project / "README.md").write_text("more\n")
    assert steps(project, "git") == {"git add --all && git commit"}
    commit_all(project)
    assert steps(project, "git") == {"push first"}
