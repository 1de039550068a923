"""The lab's Git repositories: seeded from the project's working tree, and brought up to date with it later.

`refs/lab/seed` remembers the last import. What somebody pushed to `main` in between is kept: the import is merged, and
where both changed the same lines `main` stays as it is. A seed with history brings the project's own commits, so that
what an environment pins by commit is found here as on any Git host; uncommitted changes come as one commit on top.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from infraflux_lab.gitops.git import git, init_bare

SEED = "refs/lab/seed"
HISTORY = "refs/lab/history"
INDEX = "lab-index"
MAIN = "refs/heads/main"


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One repository: `paths` below `directory` are imported, at the same places."""

    name: str
    directory: Path
    paths: tuple[str, ...] = (".",)
    private: bool = False
    """Reading needs the credential too."""
    history: bool = False
    """Where `directory` is the top of a Git repository, all of it is imported, with its commits."""


class Import(StrEnum):
    """What an import did."""

    NOTHING = "unchanged"
    DONE = "updated"
    CONFLICT = "conflict"


async def import_tree(repository: Path, seed: Seed) -> Import:
    """Let `main` have the working tree's files (without what Git ignores there); idempotent."""
    await init_bare(repository)
    head = await _take_history(repository, seed.directory) if seed.history else None
    if head is None:
        # Paths that are gone would stay in an index that is kept.
        (repository / INDEX).unlink(missing_ok=True)
    tree = await _write_tree(repository, seed.directory, (".",) if head else seed.paths)
    last, main = await _resolve(repository, SEED), await _resolve(repository, MAIN)
    if last and await _is_import_of(repository, last, tree=tree, head=head):
        return Import.NOTHING
    commit = await _import(repository, tree, head=head, last=last)
    merged = commit if main == last else await _merge(repository, main, commit)
    if merged is None:
        return Import.CONFLICT
    await _git(repository, "update-ref", MAIN, merged)
    await _git(repository, "update-ref", SEED, commit)
    return Import.DONE


async def _take_history(repository: Path, directory: Path) -> str | None:
    """The project's present commit, copied with all before it; None where the directory is no repository's top."""
    asked = ["-C", str(directory), "rev-parse", "--verify", "--quiet"]
    top = await git("-C", str(directory), "rev-parse", "--show-prefix", "--git-dir", accept=(0, 128))
    head = await git(*asked, "HEAD", accept=(0, 1, 128))
    if not head or top.splitlines()[0]:
        return None
    if await _resolve(repository, HISTORY) != head:
        # A reader may ask for any commit by its id, also for one that is on no branch any more.
        await _git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
        refs = f"+HEAD:{HISTORY}"
        await _git(repository, "fetch", "--quiet", "--no-tags", "--update-shallow", str(directory), refs)
    return head


async def _is_import_of(repository: Path, last: str, *, tree: str, head: str | None) -> bool:
    if await _resolve(repository, f"{last}^{{tree}}") != tree:
        return False
    return head is None or head in (last, await _resolve(repository, f"{last}^"))


async def _import(repository: Path, tree: str, *, head: str | None, last: str | None) -> str:
    if head and await _resolve(repository, f"{head}^{{tree}}") == tree:
        return head
    parents = [one for one in (head or last,) if one]
    return await _commit(repository, tree, parents=parents, message="Import the working tree")


async def _write_tree(repository: Path, directory: Path, paths: tuple[str, ...]) -> str:
    # The index is kept: files that did not change since are not read again.
    own = {
        "GIT_INDEX_FILE": str(repository / INDEX),
        "GIT_DIR": str(repository),
        "GIT_WORK_TREE": str(directory),
    }
    there = [path for path in paths if (directory / path).exists()]
    await git("-C", str(directory), "add", "--all", "--", *there, environment=own)
    return await git("-C", str(directory), "write-tree", environment=own)


async def _merge(repository: Path, main: str | None, commit: str) -> str | None:
    assert main is not None
    merged = await _git(repository, "merge-tree", "--write-tree", main, commit, accept=(0, 1, 128))
    tree, *conflicts = merged.splitlines() or [""]
    if conflicts or not tree:  # 128: nothing in common to merge on
        return None
    return await _commit(repository, tree, parents=[main, commit], message="Merge the working tree")


async def _commit(repository: Path, tree: str, *, parents: list[str], message: str) -> str:
    named = [word for parent in parents for word in ("-p", parent)]
    return await _git(repository, "commit-tree", tree, *named, "-m", message)


async def _resolve(repository: Path, name: str) -> str | None:
    return await _git(repository, "rev-parse", "--quiet", "--verify", name, accept=(0, 1)) or None


async def _git(repository: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    return await git(*arguments, environment={"GIT_DIR": str(repository)}, accept=accept)
