"""What Talos would take and never bring about."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import documents
from infraflux.config.models.talos import Patch
from infraflux.config.problems import Path

LONGHORN_NEEDS = ("siderolabs/iscsi-tools", "siderolabs/util-linux-tools")
"""https://longhorn.io/docs/1.11.1/advanced-resources/os-distro-specific/talos-linux-support/"""


@needs("platform", "image")
def longhorn_has_its_extensions(subject: Subject) -> Iterator[Finding]:
    schematic = subject.spec.image.schematic
    # What a given id holds is known to the image factory alone.
    if not subject.spec.platform.runs("longhorn") or schematic.id is not None:
        return
    missing = [name for name in LONGHORN_NEEDS if name not in schematic.extensions]
    if missing:
        wrong = f"longhorn is enabled, and the image lacks {' and '.join(missing)}"
        right = "without them no volume is ever attached: add them to image.schematic.extensions"
        yield Finding(("platform", "components", "longhorn", "enabled"), wrong, right)


@needs("talos")
def workers_are_not_tainted_by_patch(subject: Subject) -> Iterator[Finding]:
    patches = subject.spec.talos.patches
    for scope, found in (("all", patches.all), ("worker", patches.worker)):
        yield from _tainting(scope, found, subject.root)


@needs("talos", "node_pools", "network", "proxmox", "vm_id_start")
def no_worker_is_tainted_by_its_own_patch(subject: Subject) -> Iterator[Finding]:
    try:
        workers = {node.name for node in subject.spec.workers}
    except ValueError:
        return
    own = [patch for patch in subject.spec.talos.patches.node if patch.node in workers]
    yield from _tainting("node", own, subject.root)


def _tainting(scope: str, patches: Iterable[Patch], root: FilePath) -> Iterator[Finding]:
    for patch in patches:
        if any(_has_taints(document) for document in documents(patch, root)):
            path: Path = ("talos", "patches", scope, patch.name)
            wrong = "machine.nodeTaints never reaches a worker: Kubernetes lets no node change its own taints"
            yield Finding(path, wrong, "taints belong to node_pools.<pool>.taints, where the deploy writes them")


def _has_taints(document: Any) -> bool:
    """Whether it is a machine config's part with taints; anything else is for Talos to refuse."""
    machine = document.get("machine") if isinstance(document, Mapping) else None
    return isinstance(machine, Mapping) and bool(machine.get("nodeTaints"))
