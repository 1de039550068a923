from dataclasses import replace
from pathlib import Path

import pytest

from infraflux_lab.gitops.git import git
from infraflux_lab.gitops.repositories import Import, Seed, import_tree

pytestmark = pytest.mark.anyio


async def _show(repository: Path, path: str) -> str:
    return await git("show", f"main:{path}", environment={"GIT_DIR": str(repository)})


async def _push(repository: Path, scratch: Path, path: str, content: str) -> None:
    await git("clone", "--quiet", str(repository), str(scratch))
    (scratch / path).write_text(content)
    await git("-C", str(scratch), "commit", "--quiet", "--all", "--message", "by hand")
    await git("-C", str(scratch), "push", "--quiet", "origin", "main")


@pytest.fixture
def seed(tmp_path: Path) -> Seed:
    tree = tmp_path / "project"
    (tree / "platform").mkdir(parents=True)
    (tree / "platform" / "a.yaml").write_text("a: 1\n")
    (tree / "platform" / "b.yaml").write_text("b: 1\n")
    (tree / "secret.txt").write_text("CANARY")
    return Seed(name="platform", directory=tree, paths=("platform",))


async def test_import_is_idempotent_and_takes_only_its_paths(tmp_path: Path, seed: Seed) -> None:
    repository = tmp_path / "platform.git"

    assert await import_tree(repository, seed) is Import.DONE
    assert await import_tree(repository, seed) is Import.NOTHING

    assert await _show(repository, "platform/a.yaml") == "a: 1"
    listed = await git("ls-tree", "-r", "--name-only", "main", environment={"GIT_DIR": str(repository)})
    assert listed.splitlines() == ["platform/a.yaml", "platform/b.yaml"]


async def test_what_was_pushed_is_kept(tmp_path: Path, seed: Seed) -> None:
    repository = tmp_path / "platform.git"
    await import_tree(repository, seed)
    await _push(repository, tmp_path / "clone", "platform/a.yaml", "a: pushed\n")

    assert await import_tree(repository, seed) is Import.NOTHING
    (seed.directory / "platform" / "b.yaml").unlink()
    (seed.directory / "platform" / "c.yaml").write_text("c: 1\n")
    assert await import_tree(repository, seed) is Import.DONE

    assert await _show(repository, "platform/a.yaml") == "a: pushed"
    listed = await git("ls-tree", "-r", "--name-only", "main", environment={"GIT_DIR": str(repository)})
    assert listed.splitlines() == ["platform/a.yaml", "platform/c.yaml"]


async def test_a_conflict_leaves_main_alone(tmp_path: Path, seed: Seed) -> None:
    repository = tmp_path / "platform.git"
    await import_tree(repository, seed)
    await _push(repository, tmp_path / "clone", "platform/a.yaml", "a: pushed\n")
    (seed.directory / "platform" / "a.yaml").write_text("a: imported\n")

    assert await import_tree(repository, seed) is Import.CONFLICT

    assert await _show(repository, "platform/a.yaml") == "a: pushed"


async def _commit_project(directory: Path) -> str:
    if not (directory / ".git").exists():
        await git("init", "--quiet", "--initial-branch=main", str(directory))
    await git("-C", str(directory), "add", "--all")
    await git("-C", str(directory), "commit", "--quiet", "--message", "a commit of the project")
    return await git("-C", str(directory), "rev-parse", "HEAD")


@pytest.fixture
def with_history(seed: Seed) -> Seed:
    (seed.directory / "secret.txt").unlink()
    return replace(seed, history=True)


async def test_a_committed_project_is_served_with_its_own_commits(tmp_path: Path, with_history: Seed) -> None:
    repository = tmp_path / "platform.git"
    first = await _commit_project(with_history.directory)
    assert await import_tree(repository, with_history) is Import.DONE
    (with_history.directory / "platform" / "a.yaml").write_text("a: 2\n")
    second = await _commit_project(with_history.directory)
    assert await import_tree(repository, with_history) is Import.DONE
    assert await import_tree(repository, with_history) is Import.NOTHING

    listed = await git("rev-list", "main", environment={"GIT_DIR": str(repository)})
    assert listed.splitlines() == [second, first]


async def test_uncommitted_changes_lie_on_top(tmp_path: Path, with_history: Seed) -> None:
    repository = tmp_path / "platform.git"
    head = await _commit_project(with_history.directory)
    (with_history.directory / "platform" / "a.yaml").write_text("a: not committed\n")
    assert await import_tree(repository, with_history) is Import.DONE
    assert await import_tree(repository, with_history) is Import.NOTHING

    assert await _show(repository, "platform/a.yaml") == "a: not committed"
    assert await git("rev-parse", "main^", environment={"GIT_DIR": str(repository)}) == head


async def test_a_commit_is_found_by_its_id_after_the_branch_left_it(tmp_path: Path, with_history: Seed) -> None:
    repository = tmp_path / "platform.git"
    left = await _commit_project(with_history.directory)
    await import_tree(repository, with_history)
    (with_history.directory / "platform" / "a.yaml").write_text("a: 2\n")
    await git("-C", str(with_history.directory), "commit", "--quiet", "--all", "--amend", "--message", "again")
    assert await import_tree(repository, with_history) is Import.DONE

    clone = tmp_path / "clone"
    await git("clone", "--quiet", f"file://{repository}", str(clone))
    await git("-C", str(clone), "fetch", "--quiet", "origin", left)
    assert await git("-C", str(clone), "show", f"{left}:platform/a.yaml") == "a: 1"


async def test_a_project_that_is_no_repository_has_no_history(tmp_path: Path, with_history: Seed) -> None:
    repository = tmp_path / "platform.git"
    assert await import_tree(repository, with_history) is Import.DONE
    listed = await git("ls-tree", "-r", "--name-only", "main", environment={"GIT_DIR": str(repository)})
    assert listed.splitlines() == ["platform/a.yaml", "platform/b.yaml"]
