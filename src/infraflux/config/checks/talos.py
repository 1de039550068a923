"""What Talos would take and never bring about."""

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.models.nodes import Role
from infraflux.config.models.talos import Patch
from infraflux.config.problems import Path

LONGHORN_NEEDS = ("siderolabs/iscsi-tools", "siderolabs/util-linux-tools")
"""https://longhorn.io/docs/1.11.1/advanced-resources/os-distro-specific/talos-linux-support/"""


@needs("platform", "image")
def longhorn_has_its_extensions(subject: Subject) -> Iterator[Finding]:
    longhorn = subject.spec.platform.component("longhorn")
    schematic = subject.spec.image.schematic
    # What a given id holds is known to the image factory alone.
    if longhorn is None or not longhorn.enabled or schematic.id is not None:
        return
    missing = [name for name in LONGHORN_NEEDS if name not in schematic.extensions]
    if missing:
        wrong = f"longhorn is enabled, and the image lacks {' and '.join(missing)}"
        right = "without them no volume is ever attached: add them to image.schematic.extensions"
        yield Finding(("platform", "components", "longhorn", "enabled"), wrong, right)


@needs("talos", "node_pools")
def workers_are_not_tainted_by_patch(subject: Subject) -> Iterator[Finding]:
    patches = subject.spec.talos.patches
    scopes: list[tuple[str, Patch]] = [("all", one) for one in patches.all]
    scopes += [("worker", one) for one in patches.worker]
    scopes += [("node", one) for one in patches.node if one.node in _worker_names(subject)]
    for scope, patch in scopes:
        if any((one.get("machine") or {}).get("nodeTaints") for one in _documents(patch, subject.root)):
            path: Path = ("talos", "patches", scope, patch.name)
            wrong = "machine.nodeTaints never reaches a worker: Kubernetes lets no node change its own taints"
            yield Finding(path, wrong, "taints belong to node_pools.<pool>.taints, where the deploy writes them")


def _worker_names(subject: Subject) -> set[str]:
    try:
        return {node.name for node in subject.spec.nodes if node.role is Role.WORKER}
    except (ValueError, AttributeError):
        # Told by the rule whose truth it is.
        return set()


def _documents(patch: Patch, root: FilePath) -> list[Mapping[str, Any]]:
    """The documents of a patch; what cannot be read is told by the rule of that."""
    if patch.content is not None:
        return [patch.content]
    path = root / (patch.file or "")
    try:
        found = list(YAML(typ="safe", pure=True).load_all(path.read_text()))
    except (OSError, ValueError, YAMLError):
        return []
    return [one for one in found if isinstance(one, Mapping) and isinstance(one.get("machine"), Mapping | None)]
