"""One tree of files for a whole run: what a pull, an editor or a commit of ours changes meanwhile reaches the next run.

Where the working tree is what its commit says, the tree is that commit's, made once per commit. Where policy lets it be
dirty, it is a copy of the working tree, named by its content. State, credentials and secrets stay where they are: they
are not configuration.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from infraflux.adapters.git_head import Head
from infraflux.adapters.git_repo import GitRepo
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.files import built_once, make_private_dir
from infraflux.core.paths import ProjectPaths

KEPT = 6
"""So many trees stay in any case: the next run of the same commit finds its own."""
IN_USE_S = 24 * 3600.0
"""A younger tree may be one that a run still reads; none takes that long, since after an approval it opens anew."""
DIGEST_CHARS = 20


def freeze(root: Path, head: Head) -> Path:
    """The directory that a run reads everything from; made where it is not there yet.

    Raises Permanent where Git cannot write out the commit, or a file changes while it is copied.
    """
    trees = make_private_dir(ProjectPaths(root).state / "trees")
    tree = _commit_tree(root, head.commit, trees) if head.commit and not head.dirty else _copy_tree(root, head, trees)
    os.utime(tree)  # the ones that were used last are kept
    _prune(trees, newest=tree, now=time.time())
    return tree


def _commit_tree(root: Path, commit: str, trees: Path) -> Path:
    target = trees / commit[:DIGEST_CHARS]
    if not target.is_dir():
        with built_once(target) as building:
            GitRepo(root).archive(commit, ".", target=building)
    return target


def _copy_tree(root: Path, head: Head, trees: Path) -> Path:
    files = sorted(_git_files(root) if head.commit else _plain_files(root))
    with suppress(FileNotFoundError):
        contents = {name: (root / name).read_bytes() for name in files}
        target = trees / f"local-{_digest(contents)}"
        if not target.is_dir():
            with built_once(target) as building:
                for name, content in contents.items():
                    path = building / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                    path.chmod((root / name).stat().st_mode & 0o777)  # a script stays one
        return target
    raise Permanent(
        "a file of the project went away while the run began",
        stage="load",
        error_class=ErrorClass.CONFLICT,
        next_step="start again when nobody writes to the project",
    )


def _git_files(root: Path) -> Iterator[str]:
    """Committed ones and new ones that Git does not ignore; a deleted one is not there any more."""
    return (name for name in GitRepo(root).files() if (root / name).is_file())


def _plain_files(root: Path) -> Iterator[str]:
    """Of a project that no repository holds: everything but hidden directories, where state and caches are."""
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        yield from (str((Path(directory) / name).relative_to(root)) for name in files)


def _digest(contents: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:DIGEST_CHARS]


def _prune(trees: Path, *, newest: Path, now: float) -> None:
    others = [path for path in trees.iterdir() if path.is_dir() and path != newest and path.name[0] != "."]
    for old in sorted(others, key=_used_at, reverse=True)[KEPT - 1 :]:
        if now - _used_at(old) > IN_USE_S:
            shutil.rmtree(old, ignore_errors=True)


def _used_at(tree: Path) -> float:
    """When a run opened it last; long ago for one that another run has just removed."""
    try:
        return tree.stat().st_mtime
    except FileNotFoundError:
        return 0.0
