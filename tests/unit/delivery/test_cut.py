"""Releases are cut from commits of a real repository, once per content, and never edited."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.projects import commit_all, git, make_project

from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.releases import LedgerFile
from infraflux.config.load import Fleet
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done, Noop
from infraflux.delivery.records import Hold
from infraflux.operations.releases import (
    DeliveryLedger,
    cut_release,
    find_release,
    load_releases,
    read_signature,
    running_here,
    sign_release,
)
from infraflux.operations.sources import release_trees, source_trees

SIZES = ("large", "medium", "small")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


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


def test_every_size_has_its_machine_classes(project: Path):
    release, _ = cut_release(project, environment="dev", now=NOW)
    assert sorted(release.machine_classes) == [f"{size}/{pool}" for size in SIZES for pool in ("cp", "worker")]
    assert release.machine_classes["large/worker"].memory_mib == 16384


def test_cut_and_commit_leaves_a_clean_tree(project: Path):
    _, outcome = cut_release(project, environment="dev", now=NOW, commit_it=True)
    assert "committed releases/r1.yaml" in str(outcome)
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "-1", "--format=%s") == "Cut release r1 from dev"


def test_what_runs_is_the_release_until_anything_of_it_changes(project: Path):
    release, _ = cut_release(project, environment="dev", now=NOW, commit_it=True)
    spec = Fleet.load(project).cluster("dev/dev-1")
    assert running_here(spec, root=project, commit=git(project, "rev-parse", "HEAD")).digest == release.digest
    (project / "platform" / "main.txt").write_text("other")
    assert running_here(spec, root=project, commit=commit_all(project)).digest != release.digest


def test_a_pinned_environment_runs_the_trees_of_its_release(project: Path):
    release, _ = cut_release(project, environment="dev", now=NOW, commit_it=True)
    (project / "terraform" / "main.txt").write_text("newer")
    path = project / "config" / "environments" / "staging.yaml"
    path.write_text(path.read_text() + "release: r1\n")
    commit = commit_all(project)
    fleet = Fleet.load(project)
    staging, dev = fleet.cluster("staging/staging-1"), fleet.cluster("dev/dev-1")
    assert running_here(staging, root=project, commit=commit).digest == release.digest
    trees = source_trees(staging, root=project)
    assert (trees / "terraform" / "main.txt").read_text() == "terraform"
    assert source_trees(staging, root=project) == trees
    assert source_trees(dev, root=project) == project
    assert staging.gitops.platform.revision == release.commit


def test_a_release_whose_commit_is_not_here_is_refused(project: Path):
    release, _ = cut_release(project, environment="dev", now=NOW)
    with pytest.raises(Permanent, match="is not in this checkout"):
        release_trees(release.model_copy(update={"commit": "d" * 40}), root=project)
    with pytest.raises(Permanent, match=r"its commit .* holds"):
        release_trees(release.model_copy(update={"trees": {"terraform": "d" * 40}}), root=project)


@pytest.fixture
def signing(project: Path, tmp_path: Path) -> Path:
    """Git signs with an SSH key and trusts it."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "trusted").write_text(f"t@example.org {public}")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(tmp_path / "trusted")),
    ):
        git(project, "config", name, value)
    return project


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_a_signature_is_of_one_content(signing: Path):
    release, _ = cut_release(signing, environment="dev", now=NOW, commit_it=True)
    assert read_signature(signing, release) == "none"
    assert isinstance(sign_release(signing, release), Done)
    assert isinstance(sign_release(signing, release), Noop)
    assert read_signature(signing, release) == "good"
    assert read_signature(signing, release.model_copy(update={"digest": "sha256:" + "0" * 64})).startswith("bad")
    git(signing, "config", "--unset", "gpg.ssh.allowedSignersFile")
    assert read_signature(signing, release).startswith("bad")


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


def test_a_commit_takes_only_its_own_file(project: Path):
    (project / "unrelated.txt").write_text("x")
    git(project, "add", "unrelated.txt")
    repository = GitRepo(project)
    commit = repository.commit_files({"releases/r1.yaml": "name: r1\n"}, message="Cut r1")
    assert repository.head() != commit
    repository.advance(commit)
    assert git(project, "show", "--name-only", "--format=%s", "HEAD").split() == ["Cut", "r1", "releases/r1.yaml"]
    assert (project / "releases" / "r1.yaml").read_text() == "name: r1\n"
    assert "A  unrelated.txt" in git(project, "status", "--porcelain")


def test_a_file_with_changes_of_its_own_is_not_overwritten(project: Path):
    path = project / "config" / "environments" / "staging.yaml"
    repository = GitRepo(project)
    commit = repository.commit_files({"config/environments/staging.yaml": "release: r1\n"}, message="Pin")
    path.write_text("mine: 1\n")
    with pytest.raises(Permanent, match="would be overwritten"):
        repository.advance(commit)
    assert path.read_text() == "mine: 1\n"


def test_a_branch_that_went_on_is_not_rewound(project: Path):
    repository = GitRepo(project)
    commit = repository.commit_files({"pin.txt": "r1\n"}, message="Pin")
    (project / "more.txt").write_text("x")
    commit_all(project)
    with pytest.raises(Permanent, match="fast-forward"):
        repository.advance(commit)


def test_branch_commit_leaves_the_working_tree_alone(project: Path):
    before = git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")
    repository = GitRepo(project)
    commit = repository.commit_files({"pin.txt": "r1\n"}, message="Pin r1")
    repository.set_branch("promote/staging-r1", commit)
    assert git(project, "show", "promote/staging-r1:pin.txt") == "r1"
    assert git(project, "rev-parse", f"{commit}^") == before[1]
    assert (git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")) == before


def test_a_push_goes_forwards_only(project: Path, tmp_path: Path):
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", str(remote))
    git(project, "remote", "add", "origin", str(remote))
    repository = GitRepo(project)
    first = repository.commit_files({"pin.txt": "r1\n"}, message="Pin r1")
    repository.push("origin", first, "main")
    assert git(remote, "rev-parse", "main") == first
    with pytest.raises(Permanent, match="git push failed"):
        repository.push("origin", repository.commit_files({"pin.txt": "r2\n"}, message="Pin r2"), "main")


def test_a_project_below_the_top_of_its_repository(project: Path, tmp_path: Path):
    (project / "sub").mkdir()
    git(project, "mv", "terraform", "sub/terraform")
    commit_all(project)
    below = GitRepo(project / "sub")
    assert below.tree_id(below.head(), "terraform") == git(project, "rev-parse", "HEAD:sub/terraform")
    commit = below.commit_files({"pin.txt": "r1\n"}, message="Pin")
    assert git(project, "show", f"{commit}:sub/pin.txt") == "r1"
    target = tmp_path / "then"
    target.mkdir()
    below.archive(commit, "terraform", target=target)
    assert (target / "terraform" / "main.txt").exists()


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
