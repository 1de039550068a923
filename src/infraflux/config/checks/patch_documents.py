"""What Talos patches say, read as Talos reads them: several documents, and parts that `$patch: delete` takes out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from infraflux.config.checks.finding import Finding
from infraflux.config.foreign_yaml import parse_documents
from infraflux.config.models.talos import Patch, Patches
from infraflux.config.problems import ConfigProblems, Path
from infraflux.config.scalars import talos_value
from infraflux.config.tree import plain


class Gone(Enum):
    """What stands in the place of a value that is not there."""

    ABSENT = "absent"
    """The patch does not speak of it."""
    DELETED = "deleted"
    """The patch takes it, or something that holds it, out: Talos' own default holds again."""


@dataclass(frozen=True)
class PatchDocument:
    """One document of one patch, and where the patch is."""

    scope: str
    """`all`, `control_plane`, `worker` or `node`."""
    name: str
    node: str | None
    """The node of a patch of scope `node`."""
    document: Mapping[str, Any]
    at: tuple[str, int] | None = None
    """File and line of the document where the patch is a file of its own."""

    def blame(self, wrong: str, right: str, *, warning: bool = False) -> Finding:
        """A finding about the patch, at the document where that is in a file."""
        return Finding(self.path, wrong, right, warning=warning, at=self.at)

    @property
    def path(self) -> Path:
        return ("talos", "patches", self.scope, self.name)

    @property
    def kind(self) -> str:
        """Empty for a part of the machine config itself, which alone has no kind."""
        return str(self.document.get("kind") or "")


def patch_documents(patches: Patches, root: FilePath) -> Iterator[PatchDocument]:
    """Every document of every patch, in the order in which Talos gets them."""
    for scope in ("all", "control_plane", "worker", "node"):
        for patch in getattr(patches, scope):
            for line, document in _lines_and_documents(patch, root):
                if isinstance(document, Mapping):
                    at = (patch.file, line) if patch.file is not None else None
                    yield PatchDocument(scope, patch.name, getattr(patch, "node", None), document, at)


def documents(patch: Patch, root: FilePath) -> list[Any]:
    """The documents of a patch; what cannot be read is told by the rule of that."""
    return [document for _, document in _lines_and_documents(patch, root)]


def _lines_and_documents(patch: Patch, root: FilePath) -> list[tuple[int, Any]]:
    if patch.file is None:
        return [(0, patch.content)]
    try:
        return _parse((root / patch.file).read_text())
    except (OSError, ValueError, ConfigProblems):
        return []


@lru_cache(maxsize=256)  # many rules and many clusters look at one file
def _parse(text: str) -> list[tuple[int, Any]]:
    return [(one.line, plain(one, opaque=True)) for one in parse_documents(text, shown="patch", scalar=talos_value)]


def value_at(document: Any, dotted: str) -> Any:
    """The value at `machine.features.kubePrism.enabled`; Gone where there is none.

    `$patch: delete` in a map takes the whole map out of what was there before:
    https://docs.siderolabs.com/talos/v1.13/configure-your-talos-cluster/system-configuration/patching
    """
    node = document
    for key in dotted.split("."):
        if not isinstance(node, Mapping):
            return Gone.ABSENT
        if node.get("$patch") == "delete":
            return Gone.DELETED
        node = node.get(key)
    if isinstance(node, Mapping) and node.get("$patch") == "delete":
        return Gone.DELETED
    return Gone.ABSENT if node is None else node


def is_false(value: Any) -> bool:
    """Whether Talos reads it as false: its YAML reader takes the words of YAML 1.1 where a boolean is meant."""
    return value is False or (isinstance(value, str) and value.lower() in ("false", "no", "off", "n"))


def is_true(value: Any) -> bool:
    """The same for true."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "on", "y"))
