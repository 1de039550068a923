"""A release: what one environment proved, as one immutable bundle that another environment can pin.

The digest covers the content and nothing else, so the same content cut twice is the same release.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from infraflux.config.models import ClusterSpec
from infraflux.config.models.base import ChartVersion, Name, Section
from infraflux.config.models.talos import Versions
from infraflux.core.errors import ErrorClass, Permanent

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"


class MachineClass(Section):
    """What a node pool of one size is made of."""

    cores: int
    memory_mib: int
    system_disk_gib: int


class ReleaseComponent(Section):
    name: Name
    version: ChartVersion


class ReleasePlatform(Section):
    components: tuple[ReleaseComponent, ...]


class Pins(Section):
    """A configuration layer: what an environment that pins the release gets, between its size and its own file."""

    versions: Versions
    platform: ReleasePlatform


class Release(Section):
    """One file below `releases/`."""

    name: Name
    commit: str = Field(pattern=r"^[0-9a-f]{40,64}$")
    """The commit it was cut from; the trees below are those of this commit."""
    cut_at: datetime
    cut_from: Name
    """The environment whose versions it holds."""
    digest: str = Field(pattern=DIGEST_PATTERN)
    pins: Pins
    machine_classes: dict[str, MachineClass]
    """By `<size>/<pool>`."""
    trees: dict[str, str]
    """Git tree ids by path: `terraform`, `platform`."""


def content_digest(*, pins: Pins, machine_classes: Mapping[str, MachineClass], trees: Mapping[str, str]) -> str:
    """`sha256:...` over the canonical JSON of the content."""
    document = {
        "pins": pins.model_dump(mode="json"),
        "machine_classes": {name: one.model_dump(mode="json") for name, one in machine_classes.items()},
        "trees": dict(trees),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def cut(
    clusters: Sequence[ClusterSpec],
    *,
    name: str,
    commit: str,
    cut_at: datetime,
    trees: Mapping[str, str],
    classes: Mapping[str, MachineClass],
) -> Release:
    """A release of what these clusters of one environment run. Permanent where they do not agree.

    `classes`: by `<size>/<pool>`, of every size, since the environments it goes to have other sizes.
    """
    pins = agreed_pins(clusters)
    return Release(
        name=name,
        commit=commit,
        cut_at=cut_at,
        cut_from=clusters[0].environment,
        digest=content_digest(pins=pins, machine_classes=classes, trees=trees),
        pins=pins,
        machine_classes=dict(sorted(classes.items())),
        trees=dict(sorted(trees.items())),
    )


def agreed_pins(clusters: Sequence[ClusterSpec]) -> Pins:
    """The versions all clusters share; Permanent names two that differ."""
    if not clusters:
        raise Permanent("there is no cluster to cut a release from", stage="release", error_class=ErrorClass.USER)
    first, *others = [(spec.key, pins_of(spec)) for spec in clusters]
    for key, pins in others:
        if pins != first[1]:
            raise Permanent(
                f"{first[0]} and {key} differ in versions: {_first_difference(first[1], pins)}",
                stage="release",
                error_class=ErrorClass.CONFLICT,
                next_step="bring the environment's clusters to the same versions, a release is one bundle for all",
            )
    return first[1]


def pins_of(spec: ClusterSpec) -> Pins:
    """What a cluster runs, as a release would pin it."""
    components = [ReleaseComponent(name=one.name, version=one.version) for one in spec.platform.components]
    return Pins(
        versions=spec.versions,
        platform=ReleasePlatform(components=tuple(sorted(components, key=lambda one: one.name))),
    )


def machine_classes(size: str, pools: Iterable[Mapping[str, Any]]) -> dict[str, MachineClass]:
    """The classes of one size by `<size>/<pool>`, from its pools as plain data; a pool without sizes has none."""
    keys = MachineClass.model_fields.keys()
    return {
        f"{size}/{pool['name']}": MachineClass.model_validate({key: pool[key] for key in keys})
        for pool in pools
        if keys <= pool.keys()
    }


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a cluster runs, in the words of a release."""

    pins: Pins
    machine_classes: Mapping[str, MachineClass]
    trees: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of the release it runs, where there is one."""
        return content_digest(pins=self.pins, machine_classes=self.machine_classes, trees=self.trees)


def _first_difference(left: Pins, right: Pins) -> str:
    mine, theirs = flatten(left.model_dump(mode="json")), flatten(right.model_dump(mode="json"))
    path = min(path for path in mine.keys() | theirs.keys() if mine.get(path) != theirs.get(path))
    return f"{path} is {mine.get(path, 'absent')} and {theirs.get(path, 'absent')}"


def flatten(node: Any, path: str = "") -> dict[str, Any]:
    """Leaves of a JSON document by dotted path; items with a name go by it."""
    if isinstance(node, Mapping):
        pairs: Iterable[tuple[str, Any]] = ((str(key), value) for key, value in node.items())
    elif isinstance(node, list | tuple):
        pairs = ((str(one["name"]) if isinstance(one, Mapping) else str(i), one) for i, one in enumerate(node))
    else:
        return {path: node}
    return {leaf: value for key, one in pairs for leaf, value in flatten(one, f"{path}.{key}".strip(".")).items()}


class Reversible(StrEnum):
    """Whether going back is possible without making the cluster anew."""

    YES = "yes"
    NO = "no"


@dataclass(frozen=True)
class ReleaseChange:
    """One difference between two releases, and the truth about going back."""

    path: str
    before: str
    after: str
    reversible: Reversible
    why: str


def diff(before: Release, after: Release) -> list[ReleaseChange]:
    """Everything that differs, in a stable order; each says whether it can be undone."""
    left, right = _content(before), _content(after)
    paths = sorted(path for path in left.keys() | right.keys() if left.get(path) != right.get(path))
    return [_change(path, str(left.get(path, "absent")), str(right.get(path, "absent"))) for path in paths]


def _content(release: Release) -> dict[str, Any]:
    document = release.model_dump(mode="json")
    leaves = flatten({key: document[key] for key in ("pins", "machine_classes", "trees")})
    names = {path: path.removeprefix("pins.").removesuffix(".version") for path in leaves}
    return {names[path]: value for path, value in leaves.items() if not path.endswith(".name")}


def _change(path: str, before: str, after: str) -> ReleaseChange:
    reversible, why = _reversibility(path, before, after)
    return ReleaseChange(path, before, after, reversible, why)


def _reversibility(path: str, before: str, after: str) -> tuple[Reversible, str]:
    if path == "versions.kubernetes":
        return _same_or_final(
            _minor(before) == _minor(after),
            "a patch release of Kubernetes keeps what is stored",
            "etcd holds objects of the newer minor; Kubernetes does not go back a minor",
        )
    if path.startswith("platform.components."):
        return _same_or_final(
            _major(before) == _major(after),
            "Argo CD syncs the former chart",
            "a new major of a chart may migrate what its controllers store",
        )
    if path.startswith("machine_classes."):
        return _same_or_final(
            not path.endswith(".system_disk_gib"),
            "cores and memory are set again and take effect with a reboot",
            "a disk that has grown cannot shrink",
        )
    why = "Talos keeps the former image and boots it again" if path == "versions.talos" else "the former tree is in Git"
    return Reversible.YES, why


def _same_or_final(reversible: bool, undone: str, final: str) -> tuple[Reversible, str]:
    return (Reversible.YES, undone) if reversible else (Reversible.NO, final)


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.removeprefix("v").split(".")[:2])


def _major(version: str) -> str:
    return version.removeprefix("v").split(".")[0]
