"""Kubernetes objects as charts print them, read from YAML."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from infraflux.config.foreign_yaml import parse_documents
from infraflux.config.scalars import helm_value
from infraflux.config.tree import plain

MAX_VALUES = 1_000_000
"""The CRDs of a big chart have some 100,000."""


def read_manifests(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of YAML documents as Kubernetes' clients read them; empty documents are left out.

    kubectl, Helm and Argo CD all read through sigs.k8s.io/yaml: `defaultMode: 0644` is octal, a lone `=` is text.
    Raises ConfigProblems.
    """
    documents = parse_documents(text, shown="manifests", scalar=helm_value, limit=MAX_VALUES)
    return [one for document in documents if (one := plain(document, opaque=True))]


_KEYED: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
"""Lists whose entries server-side apply merges by a key: https://kubernetes.io/docs/reference/using-api/server-side-apply/"""


def repeated_entries(node: object) -> Iterator[str]:
    """Entries that stand twice in a list of a pod: helm writes them, server-side apply refuses the object (pure)."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _KEYED and isinstance(value, list):
                names = Counter(one.get(_KEYED[key]) for one in value if isinstance(one, Mapping))
                yield from (f"{key}: {name}" for name, times in names.items() if name and times > 1)
            yield from repeated_entries(value)
    elif isinstance(node, list):
        for one in node:
            yield from repeated_entries(one)
