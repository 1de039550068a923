"""Which files make up a cluster, from general to specific, and their merged tree.

config/defaults/*.yaml                 what holds everywhere
clusters/base/*.yaml                   what every cluster is made of
clusters/templates/<size>.yaml         how big it is
releases/<release>.yaml                pins, machine classes, commit, where the environment names a release
config/environments/<env>.yaml         where its machines live and what is allowed there
clusters/overlays/<env>/<cluster>.yaml this one cluster
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infraflux.config.models import ClusterSpec
from infraflux.config.patterns import NAME
from infraflux.config.problems import ConfigProblems, Problem
from infraflux.config.problems import Path as ValuePath
from infraflux.config.release_layers import release_layers
from infraflux.config.suggest import did_you_mean, nearest
from infraflux.config.tree import OPAQUE_KEYS, Value, merge, name_of
from infraflux.config.yaml_reader import read_yaml
from infraflux.config.yaml_source import relative

DEFAULTS = Path("config/defaults")
BASE = Path("clusters/base")
TEMPLATES = Path("clusters/templates")
ENVIRONMENTS = Path("config/environments")
OVERLAYS = Path("clusters/overlays")
RELEASES = Path("releases")

# What belongs to one cluster only; a more general layer that set it would give it to several.
OVERLAY_ONLY = ("cluster_id", "vm_id_start")
FROM_THE_PATH = ("environment", "name")
# What an environment as a whole runs; promotion writes it.
ENVIRONMENT_ONLY = ("release",)

_NAME = re.compile(NAME.regex)


@dataclass(frozen=True, order=True)
class ClusterFile:
    """A cluster as its overlay's path names it."""

    environment: str
    name: str
    file: Path

    @property
    def key(self) -> str:
        return f"{self.environment}/{self.name}"


@dataclass(frozen=True)
class Layered:
    """A merged tree, or None and the problems that keep it from being one."""

    tree: Value | None
    problems: tuple[Problem, ...] = ()


@dataclass
class Layers:
    """Reads every file of a repository at most once; merged prefixes that clusters share are merged once."""

    root: Path
    instead: Mapping[Path, str] = field(default_factory=dict)
    """Texts by path below the root, read in place of what the files hold: the configuration as it would be."""
    misnamed: list[Problem] = field(default_factory=list)
    """Files and directories whose names keep them from being read."""
    _files: dict[Path, Layered] = field(default_factory=dict)
    _merged: dict[tuple[str, ...], Layered] = field(default_factory=dict)

    def clusters(self) -> list[ClusterFile]:
        """Every overlay of the repository whose path is a valid name, sorted."""
        found = []
        for directory in self._entries(OVERLAYS):
            if directory.is_dir() and self._is_name(directory, directory.name):
                found += [
                    ClusterFile(directory.name, file.stem, file)
                    for file in self._yaml_files(directory.relative_to(self.root))
                    if self._is_name(file, file.stem)
                ]
        return found

    def environments(self) -> list[str]:
        return [file.stem for file in self._yaml_files(ENVIRONMENTS) if self._is_name(file, file.stem)]

    def sizes(self) -> list[str]:
        return [file.stem for file in self._yaml_files(TEMPLATES) if self._is_name(file, file.stem)]

    def all_problems(self) -> tuple[Problem, ...]:
        """What is wrong with any file, also with one that no cluster uses."""
        for directory in (DEFAULTS, BASE, TEMPLATES, ENVIRONMENTS):
            for file in self._yaml_files(directory):
                self.read(file)
        return (*self.misnamed, *(problem for layered in self._files.values() for problem in layered.problems))

    def layered(self, cluster: ClusterFile) -> Layered:
        """The merged layers of one cluster."""
        overlay = self.read(cluster.file)
        if overlay.tree is None:
            return overlay
        below = self._below(cluster, overlay.tree)
        problems = (*below.problems, *overlay.problems)
        if below.tree is None:
            return Layered(None, problems)
        tree = _with_identity(merge(below.tree, overlay.tree), cluster, relative(cluster.file, self.root))
        return Layered(tree, problems)

    def sized(self, size: str) -> Value | None:
        """What every cluster of one size starts from: defaults, base and the size's template."""
        return _fold([self._common(), self.read(self.root / TEMPLATES / f"{size}.yaml")]).tree

    def environment_tree(self, environment: str) -> Value | None:
        """What an environment's clusters start from: defaults, base and the environment's own file."""
        own = self.read(self.root / ENVIRONMENTS / f"{environment}.yaml")
        return _fold([self._common(), *self._release(own.tree), own]).tree

    def read(self, file: Path) -> Layered:
        """One file, cached."""
        if file not in self._files:
            try:
                text = self.instead.get(file.relative_to(self.root))
                tree = read_yaml(file, root=self.root, text=text)
                self._files[file] = Layered(tree, tuple(_misplaced(tree, file.relative_to(self.root)) + _twice(tree)))
            except ConfigProblems as error:
                self._files[file] = Layered(None, error.problems)
        return self._files[file]

    def _below(self, cluster: ClusterFile, overlay: Value) -> Layered:
        """Everything below the overlay; shared by the clusters of one environment and size."""
        common, environment = self._common(), self._environment(cluster)
        trees = (overlay, environment.tree, common.tree)
        size = next((one for tree in trees if tree is not None and (one := _size(tree))), None)
        if size is None:
            return Layered(None, (self._no_size(overlay), *common.problems, *environment.problems))
        key = (cluster.environment, str(size.data))
        if key not in self._merged or size.file == relative(cluster.file, self.root):
            template = self._template(size)
            if key not in self._merged or template.tree is None:
                below = _fold([common, template])
                released = self._release(environment.tree, size=str(size.data), below=below.tree)
                self._merged[key] = _fold([below, *released, environment])
        return self._merged[key]

    def _no_size(self, overlay: Value) -> Problem:
        keys = overlay.data if isinstance(overlay.data, dict) else {}
        right = f"one of {', '.join(self.sizes())} is expected"
        for key, value in keys.items():
            if key not in ClusterSpec.model_fields and nearest(key, ["size"]):
                right = f"line {value.line} says {key!r}: did you mean size?"
                break
        return Problem(overlay.file, 1, "size", "is missing", right)

    def _common(self) -> Layered:
        if () not in self._merged:
            files = [*self._yaml_files(DEFAULTS), *self._yaml_files(BASE)]
            self._merged[()] = _fold([Layered(Value({}, "", 0)), *(self.read(file) for file in files)])
        return self._merged[()]

    def _template(self, size: Value) -> Layered:
        if size.data not in self.sizes():
            right = did_you_mean(str(size.data), self.sizes())
            return Layered(None, (Problem(size.file, size.line, "size", f"there is no template {size.data!r}", right),))
        return self.read(self.root / TEMPLATES / f"{size.data}.yaml")

    def _release(self, environment: Value | None, *, size: str = "", below: Value | None = None) -> list[Layered]:
        """What the release that an environment names pins, with the lines of the release's file; nothing where it
        names none. Whether the file is still what was cut is the release commands' question."""
        named = environment.data.get("release") if environment and isinstance(environment.data, dict) else None
        if named is None or named.data is None:
            return []
        names = [file.stem for file in self._yaml_files(RELEASES)]
        if named.data not in names:
            right = did_you_mean(str(named.data), names) if names else "cut one with `infraflux release cut`"
            wrong = f"there is no release {named.data!r}"
            return [Layered(None, (Problem(named.file, named.line, "release", wrong, right),))]
        layered = self.read(self.root / RELEASES / f"{named.data}.yaml")
        if layered.tree is None:
            return [layered]
        try:
            return [Layered(tree) for tree in release_layers(layered.tree, size=size, below=below)]
        except ValueError as error:
            shown = f"{RELEASES}/{named.data}.yaml"
            right = "restore the file from Git; releases are never edited"
            return [Layered(None, (Problem(shown, 1, str(error), "is not what a release holds there", right),))]

    def _environment(self, cluster: ClusterFile) -> Layered:
        file = ENVIRONMENTS / f"{cluster.environment}.yaml"
        if (self.root / file).exists():
            return self.read(self.root / file)
        right = f"write {file}, or move the file: {did_you_mean(cluster.environment, self.environments())}"
        shown = relative(cluster.file, self.root)
        wrong = f"there is no environment {cluster.environment!r}"
        return Layered(None, (Problem(shown, 1, "", wrong, right),))

    def _entries(self, directory: Path) -> list[Path]:
        where = self.root / directory
        return sorted(one for one in where.iterdir() if not one.name.startswith(".")) if where.is_dir() else []

    def _yaml_files(self, directory: Path) -> list[Path]:
        files = self._entries(directory)
        for file in files:
            if file.suffix in (".yml", ".YAML", ".YML"):
                self._blame(file, "is not read: the layers are *.yaml files", f"rename it to {file.stem}.yaml")
        return [file for file in files if file.suffix == ".yaml"]

    def _is_name(self, file: Path, name: str) -> bool:
        if _NAME.match(name) and len(name) <= 32:
            return True
        self._blame(file, f"{name!r} is no name", f"{NAME.meaning} is expected")
        return False

    def _blame(self, file: Path, wrong: str, right: str) -> None:
        problem = Problem(relative(file, self.root), 0, "", wrong, right)
        if problem not in self.misnamed:
            self.misnamed.append(problem)


def _fold(layers: list[Layered]) -> Layered:
    """All merged in order; None as soon as one of them is."""
    problems = tuple(problem for layer in layers for problem in layer.problems)
    merged: Value | None = None
    for layer in layers:
        if layer.tree is None:
            return Layered(None, problems)
        merged = layer.tree if merged is None else merge(merged, layer.tree)
    return Layered(merged, problems)


def _size(tree: Value) -> Value | None:
    size = tree.data.get("size") if isinstance(tree.data, dict) else None
    return size if size is not None and size.data is not None else None


def _with_identity(tree: Value, cluster: ClusterFile, shown: str) -> Value:
    assert isinstance(tree.data, dict)
    identity = {"environment": Value(cluster.environment, shown, 1), "name": Value(cluster.name, shown, 1)}
    return Value({**tree.data, **identity}, shown, 1, tree.over, tree.cut)


def _misplaced(tree: Value, file: Path) -> list[Problem]:
    """Keys that this kind of file must not set."""
    assert isinstance(tree.data, dict)
    if file.is_relative_to(RELEASES):
        return []
    found = []
    for key in FROM_THE_PATH:
        if value := tree.data.pop(key, None):
            found.append(Problem(value.file, value.line, key, "is taken from the file's path", "remove the key"))
    if not file.is_relative_to(OVERLAYS):
        for key in OVERLAY_ONLY:
            if value := tree.data.get(key):
                right = f"set it in {OVERLAYS}/<environment>/<cluster>.yaml"
                found.append(Problem(value.file, value.line, key, "belongs to one cluster", right))
    if not file.is_relative_to(ENVIRONMENTS):
        for key in ENVIRONMENT_ONLY:
            if value := tree.data.pop(key, None):
                right = f"set it in {ENVIRONMENTS}/<environment>.yaml"
                found.append(Problem(value.file, value.line, key, "belongs to a whole environment", right))
    return found


def _twice(value: Value, path: ValuePath = ()) -> list[Problem]:
    """Items of one list that share a name; below an opaque key lists are not ours to judge."""
    found: list[Problem] = []
    if isinstance(value.data, dict):
        for key, child in value.data.items():
            if key not in OPAQUE_KEYS:
                found += _twice(child, (*path, key))
    elif isinstance(value.data, list):
        first: dict[str, int] = {}
        for item in value.data:
            if name := name_of(item):
                where = ".".join(str(part) for part in (*path, name))
                if name in first:
                    wrong = f"{name!r} appears twice in this list, first in line {first[name]}"
                    found.append(Problem(item.file, item.line, where, wrong, "keep one of them"))
                first.setdefault(name, item.line)
            found += _twice(item, (*path, name or 0))
    return found
