"""Kubernetes objects as charts print them, read from YAML."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor


class _Constructor(SafeConstructor):
    """A lone `=` is text, as Kubernetes reads it.

    YAML 1.1's default-value key (https://yaml.org/type/value.html) was never taken up, but the resolver still marks it:
    the CRDs of the Prometheus operator have it in the enum of `matchType`.
    """


_Constructor.add_constructor("tag:yaml.org,2002:value", SafeConstructor.construct_yaml_str)


def read_manifests(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of YAML documents; empty documents are left out. Raises ruamel's YAMLError."""
    yaml = YAML(typ="safe")
    yaml.Constructor = _Constructor
    return [one for one in yaml.load_all(text) if one]


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
