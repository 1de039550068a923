"""Kubernetes objects as charts print them, read from YAML."""

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
