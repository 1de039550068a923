"""Releases are cut from commits of a real repository, once per content, and never edited."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.releases import LedgerFile
from infraflux.assembly.releases import DeliveryLedger, cut_release, find_release, load_releases
from infraflux.config.errors import Permanent
from infraflux.config.outcomes import Done, Noop
from infraflux.delivery.records import Hold

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(["git", "-C", root, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit_all(root: Path, message: str = "change") -> str:
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The shipped fleet as a repository of its own, with small trees and no release yet."""
    root = tmp_path / "project"
    for name in ("config", "clusters"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("terraform", "platform"):
        (root / name).mkdir()
        (root / name / "main.txt").write_text(name)
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    git(root, "config", "user.name", "t")
    git(root, "config", "user.email", "t@example.org")
    commit_all(root)
    return root


def bump_talos(root: Path, version: str) -> None:
    path = root / "config" / "defaults" / "versions.yaml"
    path.write_text(path.read_text().replace("v1.13.9", version))


def test_cut_writes_a_file_that_reads_back(project: Path):
    release, outcome = cut_release(project, environment="dev", now=NOW)
    assert isinstance(outcome, Done)
    assert load_releases(project) == [release]
    assert find_release(project, "r1").trees["terraform"] == git(project, "rev-parse", "HEAD:terraform")


def test_same_content_is_not_cut_twice(project: Path):
    first, _ = cut_release(project, environment="dev", now=NOW)
    commit_all(project)
    again, outcome = cut_release(project, environment="dev", now=NOW)
    assert again == first
    assert isinstance(outcome, Noop)


def test_next_content_gets_the_next_name(project: Path):
    cut_release(project, environment="dev", now=NOW)
    (project / "terraform" / "main.txt").write_text("other")
    commit_all(project)
    release, _ = cut_release(project, environment="dev", now=NOW)
    assert release.name == "r2"


def test_uncommitted_content_is_refused(project: Path):
    (project / "terraform" / "new.txt").write_text("x")
    with pytest.raises(Permanent, match=r"terraform/new.txt among them.*commit them first"):
        cut_release(project, environment="dev", now=NOW)


def test_taken_name_is_refused(project: Path):
    cut_release(project, environment="dev", name="r1", now=NOW)
    (project / "platform" / "main.txt").write_text("other")
    commit_all(project)
    with pytest.raises(Permanent, match=r"releases/r1.yaml exists"):
        cut_release(project, environment="dev", name="r1", now=NOW)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kubernetes: v1.36.3", "kubernetes: v1.36.2", "changed after it was cut"),
        ("kubernetes: v1.36.3", "kubernetes: 1.36", "pins.versions.kubernetes"),
        ("pins:", "pins", "cannot be read"),
    ],
)
def test_edited_release_is_refused(project: Path, old: str, new: str, message: str):
    cut_release(project, environment="dev", now=NOW)
    path = project / "releases" / "r1.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(Permanent, match=message):
        load_releases(project)


def test_unknown_release_names_the_nearest(project: Path):
    cut_release(project, environment="dev", now=NOW)
    with pytest.raises(Permanent, match="r1"):
        find_release(project, "r11")


def test_commit_takes_only_its_own_file(project: Path):
    cut_release(project, environment="dev", now=NOW)
    (project / "unrelated.txt").write_text("x")
    git(project, "add", "unrelated.txt")
    GitRepo(project).commit(["releases/r1.yaml"], message="Cut r1")
    assert git(project, "show", "--name-only", "--format=%s", "HEAD").split() == ["Cut", "r1", "releases/r1.yaml"]
    assert "A  unrelated.txt" in git(project, "status", "--porcelain")


def test_branch_commit_leaves_the_working_tree_alone(project: Path):
    before = git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")
    commit = GitRepo(project).commit_on_branch("promote/staging-r1", {"pin.txt": "r1\n"}, message="Pin r1")
    assert git(project, "show", "promote/staging-r1:pin.txt") == "r1"
    assert git(project, "rev-parse", f"{commit}^") == before[1]
    assert (git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")) == before


def test_tree_of_a_commit_can_be_written_elsewhere(project: Path, tmp_path: Path):
    commit = git(project, "rev-parse", "HEAD")
    (project / "terraform" / "main.txt").write_text("later")
    target = tmp_path / "then"
    target.mkdir()
    GitRepo(project).archive(commit, "terraform", target=target)
    assert (target / "terraform" / "main.txt").read_text() == "terraform"
    assert [path.name for path in target.iterdir()] == ["terraform"]


@pytest.mark.parametrize("name", ["--upload-pack=x", "nope"])
def test_names_are_never_options(project: Path, name: str):
    with pytest.raises(Permanent):
        GitRepo(project).tree_id(name, "terraform")


def test_ledger_survives_a_line_cut_short(tmp_path: Path):
    ledger = DeliveryLedger(tmp_path)
    hold = Hold(environment="prod", at=NOW, reason="x")
    ledger.add(hold)
    path = tmp_path / ".infraflux" / "delivery" / "ledger.jsonl"
    with path.open("a") as handle:
        handle.write('{"kind": "hold", "envir')
    assert ledger.read().records == [hold]
    LedgerFile(path).append(hold.model_dump_json())
    assert path.stat().st_mode & 0o777 == 0o600
    assert ledger.read().records == [hold, hold]
