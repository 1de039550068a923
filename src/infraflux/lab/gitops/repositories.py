"""The lab's Git repositories: seeded from the project's working tree, and brought up to date with it later.

`refs/lab/seed` remembers the last import. What somebody pushed to `main` in between is kept: the import is merged, and
where both changed the same lines `main` stays as it is.
"""

import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from infraflux.lab.gitops.git import git, init_bare

SEED = "refs/lab/seed"
MAIN = "refs/heads/main"


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One repository: `paths` below `directory` are imported, at the same places."""

    name: str
    directory: Path
    paths: tuple[str, ...] = (".",)
    private: bool = False
    """Reading needs the credential too."""


class Import(StrEnum):
    """What an import did."""

    NOTHING = "unchanged"
    DONE = "updated"
    CONFLICT = "conflict"


async def import_tree(repository: Path, seed: Seed) -> Import:
    """Let `main` have the working tree's files (without what Git ignores there); idempotent."""
    await init_bare(repository)
    tree = await _write_tree(repository, seed)
    last, main = await _resolve(repository, SEED), await _resolve(repository, MAIN)
    if last and await _resolve(repository, f"{last}^{{tree}}") == tree:
        return Import.NOTHING
    commit = await _commit(repository, tree, parents=[last] if last else [], message="Import the working tree")
    merged = commit if main == last else await _merge(repository, main, commit)
    if merged is None:
        return Import.CONFLICT
    await _git(repository, "update-ref", MAIN, merged)
    await _git(repository, "update-ref", SEED, commit)
    return Import.DONE


async def _write_tree(repository: Path, seed: Seed) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        own = {"GIT_INDEX_FILE": f"{scratch}/index", "GIT_DIR": str(repository), "GIT_WORK_TREE": str(seed.directory)}
        there = [path for path in seed.paths if (seed.directory / path).exists()]
        await git("-C", str(seed.directory), "add", "--all", "--", *there, environment=own)
        return await git("-C", str(seed.directory), "write-tree", environment=own)


async def _merge(repository: Path, main: str | None, commit: str) -> str | None:
    assert main is not None
    merged = await _git(repository, "merge-tree", "--write-tree", main, commit, accept=(0, 1))
    tree, *conflicts = merged.splitlines()
    if conflicts:
        return None
    return await _commit(repository, tree, parents=[main, commit], message="Merge the working tree")


async def _commit(repository: Path, tree: str, *, parents: list[str], message: str) -> str:
    named = [word for parent in parents for word in ("-p", parent)]
    return await _git(repository, "commit-tree", tree, *named, "-m", message)


async def _resolve(repository: Path, name: str) -> str | None:
    return await _git(repository, "rev-parse", "--quiet", "--verify", name, accept=(0, 1)) or None


async def _git(repository: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    return await git(*arguments, environment={"GIT_DIR": str(repository)}, accept=accept)
