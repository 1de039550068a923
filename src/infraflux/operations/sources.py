"""Which trees a cluster is made from: the checkout's, or those of the release that its environment pins.

A release is immutable, so its modules and its platform tree are those of the commit it was cut from, whatever the
checkout holds by now. They are written once below the state directory and checked against the release's tree ids.
"""

from pathlib import Path

from infraflux.adapters.git_repo import GitRepo
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.files import built_once
from infraflux.core.paths import ProjectPaths
from infraflux.delivery.release import Release
from infraflux.operations.releases import find_release

DIGEST_CHARS = 16


def source_trees(spec: ClusterSpec, *, root: Path, tree: Path | None = None) -> Path:
    """The directory that holds `terraform/` and `platform/` of this cluster: `tree`, or what its release brings.

    Raises Permanent where the release's commit is not in this checkout, or holds other trees than the release says.
    """
    if spec.release is None:
        return tree or root
    return release_trees(find_release(tree or root, spec.release), root=root)


def release_trees(release: Release, *, root: Path) -> Path:
    """The trees of one release, written where they are not there yet."""
    kept = ProjectPaths(root).state / "releases"
    target = kept / f"{release.name}-{release.digest.partition(':')[2][:DIGEST_CHARS]}"
    if target.is_dir():
        return target
    git = GitRepo(root)
    for path, tree in release.trees.items():
        _require_tree(git, release, path, tree)
    with built_once(target) as building:
        for path in release.trees:
            git.archive(release.commit, path, target=building)
    return target


def _require_tree(git: GitRepo, release: Release, path: str, tree: str) -> None:
    try:
        found = git.tree_id(release.commit, path)
    except Permanent:
        raise Permanent(
            f"{release.name} was cut from commit {release.commit[:12]}, which is not in this checkout",
            stage="release",
            error_class=ErrorClass.USER,
            next_step="fetch it: `git fetch --unshallow`, or the branch it was cut on",
        ) from None
    if found != tree:
        raise Permanent(
            f"{release.name} says {path}/ is {tree[:12]}, its commit {release.commit[:12]} holds {found[:12]}",
            stage="release",
            error_class=ErrorClass.CONFLICT,
            next_step="restore the release's file from Git, or cut a new release",
        )
