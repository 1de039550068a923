"""Machine configs as documents: read by kind, compared field by field, secrets masked. Pure."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from infraflux.config.references import Scalar

MASK = "***"


_LONGEST_SHOWN = 120


_TAINTS = ".registerWithTaints["
"""A taint's key is a name for everybody to see."""


_SECRET_FIELDS = {"key", "token", "secret", "secretboxEncryptionSecret", "aescbcEncryptionSecret", "identity"}


@dataclass(frozen=True)
class FieldChange:
    """One field that differs; both sides are masked where the field is a secret."""

    path: str
    wanted: str
    seen: str

    def __str__(self) -> str:
        return f"{self.path}: {self.seen} -> {self.wanted}"


def safe_yaml() -> YAML:
    """YAML 1.2 rules: `auto: off` stays the text `off`, which Talos means by it.

    Read by libyaml where it is there, seven times quicker: a plan reads two configs of each node.
    """
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.width = 4096
    return yaml


def parse_documents(text: str) -> dict[str, Any]:
    """All documents of a machine config by `kind/name`; the main one, which has no kind, is `v1alpha1`."""
    documents: dict[str, Any] = {}
    for document in safe_yaml().load_all(text):
        if not document:
            continue
        kind = document.get("kind", "v1alpha1")
        documents["/".join(str(part) for part in (kind, document.get("name")) if part)] = document
    return documents


def diff_configs(wanted: str, seen: str, *, hidden: Collection[str] = ()) -> list[FieldChange]:
    """Fields in which two machine configs differ, by meaning and not by text; secrets are masked.

    `hidden`: values that are secret wherever they stand. A field that holds one is masked on both sides: the node may
    still have the one before.
    """
    left, right = _flat(parse_documents(wanted)), _flat(parse_documents(seen))
    changed = sorted(path for path in left.keys() | right.keys() if left.get(path) != right.get(path))
    return [_change(path, left.get(path), right.get(path), hidden) for path in changed]


def _change(path: str, wanted: Any, seen: Any, hidden: Collection[str]) -> FieldChange:
    secret = any(value in str(side) for value in hidden for side in (wanted, seen) if side is not None)
    return FieldChange(path, *(MASK if secret and side is not None else _shown(path, side) for side in (wanted, seen)))


def mask_config(text: str) -> str:
    """The machine config with every secret field replaced, for people to read and to compare."""
    stream = StringIO()
    safe_yaml().dump_all([_masked(document) for document in parse_documents(text).values()], stream)
    return stream.getvalue()


def _masked(node: Any) -> Any:
    if isinstance(node, dict):
        secret = _SECRET_FIELDS - ({"key"} if "effect" in node else set())
        return {
            key: MASK if value and (key in secret or _is_secret(key, value)) else _masked(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_masked(value) for value in node]
    return MASK if _is_secret("", node) else node


def _is_secret(key: str, value: Any) -> bool:
    return isinstance(value, str) and Scalar((key,), value).looks_secret


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if isinstance(node, dict) and node:
        return {key: leaf for name, value in node.items() for key, leaf in _flat(value, _join(path, name)).items()}
    if isinstance(node, list) and node:
        return {k: leaf for index, value in enumerate(node) for k, leaf in _flat(value, f"{path}[{index}]").items()}
    # Talos drops empty maps and lists and false flags when it writes a config back.
    return {} if node in (None, {}, [], "", False) else {path: node}


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _shown(path: str, value: Any) -> str:
    if value is None:
        return "(absent)"
    field = path.rsplit(".", 1)[-1]
    if _is_secret(field.partition("[")[0], str(value)) or (field in _SECRET_FIELDS and _TAINTS not in path):
        return MASK
    text = str(value)
    # A certificate says nothing to a reader; its digest says whether it is the same one.
    return text if len(text) <= _LONGEST_SHOWN else f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
