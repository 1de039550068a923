"""The version matrix: which Talos, Kubernetes and chart versions go together, and which step an upgrade may take."""

from functools import cache
from importlib.resources import files

from pydantic import Field
from ruamel.yaml import YAML

from infraflux.config.models.base import Section
from infraflux.config.models.nodes import Role

Minor = tuple[int, int]


def _order(text: str) -> Minor:
    return minor(text)


class KnownVersion(Section):
    """One minor version and the Kubernetes minors it runs with."""

    version: str
    kubernetes: tuple[str, ...]
    accepted: tuple[str, ...] = ()
    reason: str = ""
    source: str = Field(min_length=1)
    name: str = "talos"

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(sorted({*self.kubernetes, *self.accepted}, key=_order))


class Minimum(Section):
    """The least a machine of one role needs."""

    cores: int
    memory_mib: int
    system_disk_gib: int


class Matrix(Section):
    """The data file as read."""

    talos: tuple[KnownVersion, ...]
    charts: tuple[KnownVersion, ...]
    minimums: dict[Role, Minimum]

    def chart(self, name: str) -> tuple[KnownVersion, ...]:
        """The releases of one chart; empty where the matrix says nothing about it."""
        return tuple(release for release in self.charts if release.name == name)


@cache
def matrix() -> Matrix:
    """The matrix shipped with the program."""
    text = files("infraflux.config.data").joinpath("version_matrix.yaml").read_text("utf-8")
    return Matrix.model_validate(YAML(typ="safe").load(text))


def minor(version: str) -> Minor:
    """`v1.36.3` or `1.36` -> (1, 36)."""
    major, minor_part = version.removeprefix("v").split(".")[:2]
    return int(major), int(minor_part)


def minor_text(version: str) -> str:
    """`v1.36.3` -> `1.36`."""
    return ".".join(str(part) for part in minor(version))


def find_release(releases: tuple[KnownVersion, ...], version: str) -> KnownVersion | None:
    """The release whose minor is that of `version`."""
    return next((release for release in releases if release.version == minor_text(version)), None)


def step_problem(what: str, before: str, after: str) -> tuple[str, str] | None:
    """What is wrong with going from one version to another, and which would be right; None where the step is fine.

    Minors go up one at a time and never down; patches are free in both directions, because both Talos and Kubernetes
    support that.
    """
    old, new = minor(before), minor(after)
    if new < old:
        return f"{what} would go down from {before} to {after}", f"stay at v{minor_text(before)}.x or go up"
    if new[0] > old[0] or new[1] > old[1] + 1:
        following = f"v{old[0]}.{old[1] + 1}.x"
        return f"{what} would skip from {before} to {after}", f"go to {following} first"
    return None
