"""What the configuration was: a spec saved as JSON, or the files of a Git revision."""

import tarfile
import tempfile
from pathlib import Path

from pydantic import ValidationError

from infraflux.config.layers import Layers
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.config.models.talos import Versions
from infraflux.config.tree import plain
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.process import run

# Everything that validation looks at.
PARTS = ("config", "clusters", "platform")
GIT_TIMEOUT_S = 60


def previous_fleet(revision: str, *, root: Path) -> Fleet:
    """The fleet as it was at a Git revision. Raises Permanent, ConfigProblems."""
    with tempfile.TemporaryDirectory(prefix="infraflux-previous-") as directory:
        _export(revision, root=root, into=Path(directory))
        return Fleet.load(Path(directory))


def previous_versions(source: str, *, root: Path) -> dict[str, Versions]:
    """The versions of every cluster that can be read, from a file (`config show -o json`) or a Git revision."""
    if Path(source).is_file():
        spec = _spec(Path(source))
        return {spec.key: spec.versions}
    with tempfile.TemporaryDirectory(prefix="infraflux-previous-") as directory:
        _export(source, root=root, into=Path(directory))
        # Only the versions are needed: an old configuration may break rules that are newer than it.
        layers = Layers(Path(directory))
        trees = {cluster.key: layers.layered(cluster).tree for cluster in layers.clusters()}
        documents = {key: plain(tree).get("versions") for key, tree in trees.items() if tree is not None}
        return {key: Versions.model_validate(found) for key, found in documents.items() if found}


def _spec(file: Path) -> ClusterSpec:
    try:
        return ClusterSpec.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise Permanent(
            f"{file} is no cluster spec: {str(error).splitlines()[0]}",
            error_class=ErrorClass.USER,
            next_step="write one with `infraflux config show ENV/CLUSTER --output json`",
        ) from None


def _export(revision: str, *, root: Path, into: Path) -> None:
    if revision.startswith("-"):
        raise Permanent(f"{revision!r} is no revision", error_class=ErrorClass.USER)
    listed = _git(root, "ls-tree", "--name-only", revision, "--", *PARTS).split()
    archive = into / "previous.tar"
    _git(root, "archive", "--format=tar", f"--output={archive}", revision, "--", *listed)
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")


def _git(root: Path, *arguments: str) -> str:
    done = run(["git", *arguments], cwd=root, deadline_s=GIT_TIMEOUT_S)
    if done.returncode:
        raise Permanent(
            f"git {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[0]}",
            error_class=ErrorClass.USER,
            next_step="name a file, or a revision of this repository",
        )
    return done.stdout
