"""Which patch it is that Talos refuses, and at which line: the patches of a node are tried one after the other."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from infraflux.adapters.talos.configs import PatchSet
from infraflux.adapters.talos.keys import MAIN, TalosKeys, read_keys
from infraflux.adapters.talos.patch_secrets import with_stand_ins
from infraflux.adapters.talos.refusals import Refusal, explain
from infraflux.adapters.talos.talosctl import LOCAL_DEADLINE_S, Talosctl
from infraflux.config.foreign_yaml import parse_documents, read_documents
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.config.models.talos import NodePatch, Patch, Patches
from infraflux.config.problems import Path as ValuePath
from infraflux.config.problems import Problem, dotted
from infraflux.config.scalars import talos_value
from infraflux.config.tree import CONTENT_KEY, Value, find, nearest
from infraflux.core.files import make_private_dir, write_private
from infraflux.render.block_yaml import dump
from infraflux.render.talos import render_patches

_BEGIN = re.compile(r"^---(?=\s|$).*$", re.MULTILINE)
_QUOTED = re.compile(r"[\"'`]([^\"'`]+)[\"'`]")
_EMPTY_CONFIG = "version: v1alpha1\nmachine:\n  type: worker\n"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One node whose machine config Talos is asked about."""

    spec: ClusterSpec
    node: Node
    patches: PatchSet = field(repr=False)
    digest: str


@dataclass(frozen=True, kw_only=True)
class OwnPatch:
    """A patch of the configuration and the scope it stands in."""

    scope: str
    patch: Patch

    @property
    def path(self) -> ValuePath:
        return ("talos", "patches", self.scope, self.patch.name)

    def is_for(self, node: Node) -> bool:
        if isinstance(self.patch, NodePatch):
            return self.patch.node == node.name
        roles = {"control_plane": Role.CONTROL_PLANE, "worker": Role.WORKER}
        return roles.get(self.scope, node.role) is node.role


def own_patches(spec: ClusterSpec) -> list[OwnPatch]:
    """The cluster's own patches in the order Talos gets them."""
    scopes = ("all", "control_plane", "worker", "node")
    return [OwnPatch(scope=scope, patch=one) for scope in scopes for one in getattr(spec.talos.patches, scope)]


def with_patches(spec: ClusterSpec, patches: Sequence[OwnPatch]) -> ClusterSpec:
    """The cluster with these patches alone."""
    scopes: dict[str, tuple[Patch, ...]] = {}
    for one in patches:
        scopes[one.scope] = (*scopes.get(one.scope, ()), one.patch)
    talos = spec.talos.model_copy(update={"patches": Patches().model_copy(update=scopes)})
    return spec.model_copy(update={"talos": talos})


class PatchBlame:
    """Turns a refused node into problems. Nodes with the same patches are looked into once."""

    def __init__(
        self,
        *,
        root: Path,
        trees: Mapping[str, Value],
        refusal: Callable[[Asked], str],
        talosctl: Talosctl,
        work: Path,
    ) -> None:
        self._root = root
        self._trees = trees
        self._refusal = refusal
        self._talosctl = talosctl
        self._work = work
        self._seen: set[tuple[object, ...]] = set()

    @cached_property
    def _keys(self) -> TalosKeys:
        return read_keys(self._talosctl, workdir=make_private_dir(self._work / "reference"))

    def problems(self, asked: Asked) -> Iterator[Problem]:
        """Every mistake in the node's patches; of the node itself where none of them is to blame."""
        own = [one for one in own_patches(asked.spec) if one.is_for(asked.node)]
        kind = (asked.node.role, *(one.patch.model_dump_json() for one in own))
        if own and kind in self._seen:
            return
        if words := self._try(asked, []):
            yield self._of_the_node(asked, words)
            return
        self._seen.add(kind)
        good: list[OwnPatch] = []
        for one in own:
            if words := self._try(asked, [*good, one]):
                yield from self._of_patch(asked, one, words)
            else:
                good.append(one)

    def _try(self, asked: Asked, patches: Sequence[OwnPatch]) -> str:
        spec = with_patches(asked.spec, patches)
        closed = with_stand_ins(render_patches(spec, root=self._root))
        return self._refusal(replace(asked, spec=spec, patches=closed))

    def _of_the_node(self, asked: Asked, words: str) -> Problem:
        tree = self._trees[asked.spec.key]
        told = "; ".join(one.wrong for one in explain(words, self._keys))
        return Problem(tree.file, tree.line, "", f"node {asked.node.name}: {told}", "correct the value it names")

    def _of_patch(self, asked: Asked, own: OwnPatch, words: str) -> Iterator[Problem]:
        documents, text = self._written(asked, own)
        for told in self._refusals(text, words):
            refusal = _by_path(told, text) if own.patch.file is None else told
            for file, line in _places(documents, refusal):
                yield Problem(file, line, dotted(own.path), refusal.wrong, refusal.right)

    def _written(self, asked: Asked, own: OwnPatch) -> tuple[list[Value], str]:
        """The patch's documents where they are written, and the text that Talos gets."""
        if own.patch.file is not None:
            file = self._root / own.patch.file
            return read_documents(file, root=self._root, scalar=talos_value), file.read_text()
        tree = self._trees[asked.spec.key]
        content = find(tree, (*own.path, CONTENT_KEY)) or nearest(tree, own.path)
        return [content], dump(own.patch.content or {})

    def _refusals(self, text: str, words: str) -> list[Refusal]:
        """Talos stops at the first document it cannot read: each is tried alone, the whole where all can be read."""
        parts = _documents(text)
        alone = [(offset, self._unread(part)) for offset, part in parts] if len(parts) > 1 else []
        told = [(offset, said) for offset, said in alone if said] or [(0, words)]
        return [
            replace(one, line=one.line + offset if one.line else 0)
            for offset, said in told
            for one in explain(said, self._keys)
        ]

    def _unread(self, document: str) -> str:
        """Talos' words where it cannot decode this one document."""
        base = write_private(self._work / "alone.yaml", _EMPTY_CONFIG)
        patch = write_private(self._work / "alone.patch.yaml", document)
        words: list[str | Path] = ["machineconfig", "patch", base, "--patch", f"@{patch}"]
        done = self._talosctl.runner([self._talosctl.binary, *words], deadline_s=LOCAL_DEADLINE_S)
        return done.stderr if done.returncode and "error decoding document" in done.stderr else ""


def _documents(text: str) -> list[tuple[int, str]]:
    """The documents of a text with the number of lines before each."""
    starts = [0, *(found.end() for found in _BEGIN.finditer(text))]
    ends = [*(found.start() for found in _BEGIN.finditer(text)), len(text)]
    parts = [(text.count("\n", 0, start), text[start:end]) for start, end in zip(starts, ends, strict=True)]
    return [(line, part) for line, part in parts if part.strip()]


def _places(documents: Sequence[Value], refusal: Refusal) -> list[tuple[str, int]]:
    """File and lines of what is refused, or of the document it is in."""
    if refusal.line:
        return [(documents[0].file, refusal.line)]
    of_kind = [one for one in documents if not refusal.kind or _kind(one) == refusal.kind]
    found = [(value.file, value.line) for one in of_kind for value in _below(one, refusal.path) if refusal.path]
    quoted = set(_QUOTED.findall(refusal.wrong))
    found = found or [
        (value.file, value.line) for one in of_kind for value in _scalars(one) if str(value.data) in quoted
    ]
    return list(dict.fromkeys(found)) or [(one.file, one.line) for one in (of_kind or documents)[:1]]


def _by_path(refusal: Refusal, text: str) -> Refusal:
    """The refusal with the keys that lead to its line in the text that Talos got: inline, that line is nobody's."""
    if not refusal.line:
        return refusal
    values = (one for document in parse_documents(text, shown="", scalar=talos_value) for one in _all(document))
    path = next((path for path, line in values if line == refusal.line), ())
    return replace(refusal, line=0, path=path)


def _all(value: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """The keys down to every value, and its line; the deepest first."""
    below = value.data.items() if isinstance(value.data, dict) else ()
    items = value.data if isinstance(value.data, list) else ()
    for key, child in below:
        yield from _all(child, (*path, key))
    for item in items:
        yield from _all(item, path)
    yield path, value.line


def _kind(document: Value) -> str:
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    return str(kind.data) if kind is not None else MAIN


def _scalars(value: Value) -> Iterator[Value]:
    below = value.data.values() if isinstance(value.data, dict) else value.data if isinstance(value.data, list) else ()
    for child in below:
        yield from _scalars(child)
    if not isinstance(value.data, (dict, list)):
        yield value


def _below(value: Value, path: Sequence[str]) -> Iterator[Value]:
    """Every value at these keys; items of lists are all looked into."""
    if isinstance(value.data, list):
        for item in value.data:
            yield from _below(item, path)
    elif not path:
        yield value
    elif isinstance(value.data, dict) and path[0] in value.data:
        yield from _below(value.data[path[0]], path[1:])
