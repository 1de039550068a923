"""What a patch file must be before Talos can be asked about it."""

from collections.abc import Iterator
from pathlib import Path as FilePath

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.foreign_yaml import read_documents
from infraflux.config.json_patches import WRONG, instead, is_json_patch
from infraflux.config.models.talos import Patch
from infraflux.config.problems import ConfigProblems, Path
from infraflux.config.scalars import talos_value
from infraflux.config.tree import Value, plain
from infraflux.config.yaml_source import relative


@needs("talos")
def patches_are_documents_of_talos(subject: Subject) -> Iterator[Finding]:
    patches = subject.spec.talos.patches
    scopes = {"all": patches.all, "control_plane": patches.control_plane, "worker": patches.worker}
    for scope, found in {**scopes, "node": patches.node}.items():
        for patch in found:
            path: Path = ("talos", "patches", scope, patch.name)
            if patch.file is not None and patch.content is None:
                yield from _of_file(path, patch, subject.root)
            elif patch.content is not None and not patch.content:
                yield Finding((*path, "content"), "is empty", "Talos refuses an empty patch: write one, or remove it")


def _of_file(path: Path, patch: Patch, root: FilePath) -> Iterator[Finding]:
    file = root / str(patch.file)
    if not file.is_file():  # told by the rule about files
        return
    try:
        documents = read_documents(file, root=root, scalar=talos_value)
    except ConfigProblems as error:
        yield from (Finding(path, one.wrong, one.right, at=(one.file, one.line)) for one in error.problems)
        return
    if not documents:
        right = "Talos refuses an empty patch: write one, or remove the entry that names the file"
        yield Finding(path, "holds no document", right, at=(relative(file, root), 1))
    for document in documents:
        if not isinstance(document.data, dict):
            wrong, right = _no_document(document)
            yield Finding(path, wrong, right, at=(document.file, document.line))


def _no_document(document: Value) -> tuple[str, str]:
    operations = plain(document, opaque=True)
    if is_json_patch(operations):
        return WRONG, instead(operations)
    return "is no document of Talos", "a map is expected, such as `machine: {...}`"
