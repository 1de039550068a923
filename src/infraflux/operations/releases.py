"""Releases of the project at hand: cut from a commit, read back, compared; the ledger opened."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.releases import (
    LedgerFile,
    explain_invalid,
    next_name,
    read_release,
    release_files,
    write_release,
)
from infraflux.config.layers import Layers
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.config.suggest import did_you_mean
from infraflux.config.tree import plain
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.core.paths import ProjectPaths
from infraflux.delivery.records import AnyRecord, Ledger, parse_record
from infraflux.delivery.release import MachineClass, Release, Running, content_digest, cut, machine_classes, pins_of

RELEASED_TREES = ("platform", "terraform")
"""Directories whose content is part of a release."""

RELEASED_CONTENT = (*RELEASED_TREES, "config", "clusters")
"""What a release is cut of: a change to it that no commit holds is in no release."""


def load_releases(root: Path) -> list[Release]:
    """All releases, oldest first; Permanent where a file was edited after it was cut."""
    releases = [_load(path) for path in release_files(root)]
    return sorted(releases, key=lambda release: (release.cut_at, release.name))


def _load(path: Path) -> Release:
    try:
        release = Release.model_validate(read_release(path))
    except ValidationError as error:
        raise explain_invalid(path, error) from None
    found = content_digest(pins=release.pins, machine_classes=release.machine_classes, trees=release.trees)
    if (found, path.stem) != (release.digest, release.name):
        raise Permanent(
            f"{path.name} was changed after it was cut: its content is {found}, it says {release.digest}",
            stage="release",
            error_class=ErrorClass.CONFLICT,
            next_step="restore the file from Git, or cut a new release",
        )
    return release


def find_release(root: Path, name: str) -> Release:
    """The release of this name; Permanent with the nearest one there is."""
    releases = {release.name: release for release in load_releases(root)}
    if name not in releases:
        raise Permanent(f"there is no release {name!r}: {did_you_mean(name, list(releases))}", stage="release")
    return releases[name]


def size_classes(root: Path) -> dict[str, MachineClass]:
    """The machine classes of every size the configuration has."""
    layers = Layers(root)
    classes: dict[str, MachineClass] = {}
    for size in layers.sizes():
        tree = layers.sized(size)
        pools = plain(tree).get("node_pools", []) if tree is not None else []
        classes |= machine_classes(size, pools)
    return classes


def running_here(spec: ClusterSpec, *, root: Path, commit: str, tree: Path | None = None) -> Running:
    """What a deploy of this commit brings to a cluster: of its release where it pins one, else of the checkout.

    `tree` has the files of that commit, the project itself where it is not given.
    """
    if spec.release is not None:
        release = find_release(tree or root, spec.release)
        return Running(pins=pins_of(spec), machine_classes=release.machine_classes, trees=release.trees)
    trees = released_trees(GitRepo(root), commit)
    return Running(pins=pins_of(spec), machine_classes=size_classes(tree or root), trees=trees)


def released_trees(git: GitRepo, commit: str) -> dict[str, str]:
    """Tree ids by path at a commit."""
    return {path: git.tree_id(commit, path) for path in RELEASED_TREES}


def cut_release(
    root: Path, *, environment: str, name: str | None = None, now: datetime | None = None, commit_it: bool = False
) -> tuple[Release, Outcome]:
    """Cut what `environment` runs at the present commit into a new file; Noop where that content is a release.

    `commit_it` also commits exactly that file on the present branch.
    """
    git = GitRepo(root)
    _require_committed(git, RELEASED_CONTENT)
    commit = git.head()
    release = cut(
        Fleet.load(root).of(environment),
        name=name or next_name(root),
        commit=commit,
        cut_at=(now or datetime.now(UTC)).replace(microsecond=0),
        trees=released_trees(git, commit),
        classes=size_classes(root),
    )
    same = next((one for one in load_releases(root) if one.digest == release.digest), None)
    if same is not None:
        return same, Noop(f"{same.name} has this content already")
    path = write_release(root, release.name, release.model_dump(mode="json"))
    shown = path.relative_to(root)
    if not commit_it:
        return release, Done(f"cut {release.name} ({release.digest[:19]}) into {shown}; commit it")
    text = path.read_text()
    path.unlink()  # Git writes it again, as part of the commit
    git.advance(git.commit_files({str(shown): text}, message=f"Cut release {release.name} from {environment}"))
    return release, Done(f"cut {release.name} ({release.digest[:19]}) and committed {shown}")


def _require_committed(git: GitRepo, paths: Sequence[str]) -> None:
    changed = git.changed(paths)
    if changed:
        raise Permanent(
            f"{len(changed)} file(s) differ from the commit, {changed[0]} among them",
            stage="release",
            next_step="commit them first: a release is cut from a commit",
        )


def sign_release(root: Path, release: Release) -> Outcome:
    """Set the signed tag `release/<name>` at the commit that holds the release's file; Noop where it is set."""
    git, tag = GitRepo(root), f"release/{release.name}"
    if git.tag_message(tag) is not None:
        return Noop(f"the tag {tag} is set")
    git.sign_tag(tag, git.head(), message=f"Release {release.name}\n\n{release.digest}")
    return Done(f"signed {tag}")


def read_signature(root: Path, release: Release) -> str:
    """What the tag `release/<name>` proves: `none`, `good`, or why it proves nothing about this content."""
    git, tag = GitRepo(root), f"release/{release.name}"
    message = git.tag_message(tag)
    if message is None:
        return "none"
    if release.digest not in message:
        return f"bad: the tag {tag} is of another content"
    return "good" if git.verify_tag(tag) else f"bad: `git verify-tag {tag}` does not accept it"


class DeliveryLedger:
    """The project's ledger: typed records in and out."""

    def __init__(self, root: Path) -> None:
        self._file = LedgerFile(ProjectPaths(root).state / "delivery" / "ledger.jsonl")

    def read(self) -> Ledger:
        return Ledger([parse_record(line) for line in self._file.lines()])

    def add(self, *records: AnyRecord) -> None:
        self._file.append(*(record.model_dump_json() for record in records))
