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
from infraflux.config.errors import ErrorClass, Permanent
from infraflux.config.load import Fleet
from infraflux.config.outcomes import Done, Noop, Outcome
from infraflux.config.paths import ProjectPaths
from infraflux.config.suggest import did_you_mean
from infraflux.delivery.records import Hold, Ledger, Promoted, Verified, parse_record
from infraflux.delivery.release import Release, content_digest, cut

RELEASED_TREES = ("platform", "terraform")
"""Directories whose content is part of a release."""


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


def cut_release(
    root: Path, *, environment: str, name: str | None = None, now: datetime | None = None
) -> tuple[Release, Outcome]:
    """Cut what `environment` runs at the present commit into a new file; Noop where that content is a release."""
    git = GitRepo(root)
    _require_committed(git, [*RELEASED_TREES, "config", "clusters"])
    commit = git.head()
    release = cut(
        Fleet.load(root).of(environment),
        name=name or next_name(root),
        commit=commit,
        cut_at=(now or datetime.now(UTC)).replace(microsecond=0),
        trees={path: git.tree_id(commit, path) for path in RELEASED_TREES},
    )
    same = next((one for one in load_releases(root) if one.digest == release.digest), None)
    if same is not None:
        return same, Noop(f"{same.name} has this content already")
    path = write_release(root, release.name, release.model_dump(mode="json"))
    return release, Done(f"cut {release.name} ({release.digest[:19]}) into {path.relative_to(root)}; commit it")


def _require_committed(git: GitRepo, paths: Sequence[str]) -> None:
    changed = git.changed(paths)
    if changed:
        raise Permanent(
            f"{len(changed)} file(s) differ from the commit, {changed[0]} among them",
            stage="release",
            next_step="commit them first: a release is cut from a commit",
        )


class DeliveryLedger:
    """The project's ledger: typed records in and out."""

    def __init__(self, root: Path) -> None:
        self._file = LedgerFile(ProjectPaths(root).state / "delivery" / "ledger.jsonl")

    def read(self) -> Ledger:
        return Ledger([parse_record(line) for line in self._file.lines()])

    def add(self, *records: Verified | Promoted | Hold) -> None:
        self._file.append(*(record.model_dump_json() for record in records))
