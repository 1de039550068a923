"""Effective values: the whole spec as paths, where each came from, and what differs between two of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infraflux.config.models import ClusterSpec
from infraflux.config.problems import Path, dotted
from infraflux.config.scalars import is_mark, without_marks
from infraflux.config.suggest import did_you_mean
from infraflux.config.tree import Value, find, nearest
from infraflux.core.errors import ErrorClass, Permanent

DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """One effective value and every layer that had a say, the winner first."""

    path: str
    value: Any
    set_by: str
    """`file:line`, or `default` where the models or a neighbouring value give it."""
    overrode: tuple[tuple[str, Any], ...] = ()
    """`file:line` and value of each more general layer, the most specific first."""


@dataclass(frozen=True)
class Difference:
    """One path that two clusters answer differently; None: not there."""

    path: str
    left: Setting | None
    right: Setting | None


def settings(spec: ClusterSpec, tree: Value) -> dict[Path, Setting]:
    """Every effective value by its path, in the order of the models."""
    return {path: _setting(path, value, tree) for path, value in flatten(spec.model_dump(mode="json"))}


def document_settings(document: Mapping[str, Any], tree: Value) -> dict[Path, Setting]:
    """The same for a part of the layers that is no whole cluster, such as an environment."""
    return {path: _setting(path, value, tree) for path, value in flatten(document)}


def _setting(path: Path, value: Any, tree: Value) -> Setting:
    found = find(tree, path)
    if found is None:
        return Setting(dotted(path), value, _removal(path, tree))
    overrode = tuple((f"{old.file}:{old.line}", _shown(old)) for old in found.history)
    return Setting(dotted(path), value, f"{found.file}:{found.line}", overrode)


def _removal(path: Path, tree: Value) -> str:
    """A value that a layer removed is a default again, and says who removed it."""
    written = nearest(tree, path)
    if written.data is None and written.over is not None:
        return f"{DEFAULT} (removed at {written.file}:{written.line})"
    return DEFAULT


def _shown(value: Value) -> Any:
    if isinstance(value.data, list):
        return [_shown(item) for item in value.data]
    if isinstance(value.data, dict):
        return {key: _shown(child) for key, child in value.data.items()}
    return value.data


def flatten(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Leaves of a document by path; lists of named things by name, other lists whole."""
    if isinstance(value, Mapping) and value and not is_mark(value):
        for key, child in value.items():
            yield from flatten(child, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        for item in value:
            yield from flatten(item, (*path, item["name"]))
    else:
        yield path, without_marks(value)


def select(found: Mapping[Path, Setting], wanted: str) -> list[Setting]:
    """The settings at or below a dotted path. Raises Permanent with the nearest path there is."""
    parts = tuple(quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."]+)', wanted))
    chosen = [
        setting for path, setting in found.items() if _begins(path, parts) or setting.path.startswith(wanted + ".")
    ]
    chosen = chosen or [setting for setting in found.values() if setting.path.replace('"', "") == wanted]
    if not chosen:
        nearest_path = did_you_mean(wanted, [setting.path for setting in found.values()])
        hint = nearest_path if nearest_path.startswith("did") else "see `infraflux config show`"
        raise Permanent(f"nothing is set at {wanted!r}", error_class=ErrorClass.USER, next_step=hint)
    return chosen


def _begins(path: Path, parts: Path) -> bool:
    return tuple(str(part) for part in path[: len(parts)]) == parts


def differences(left: Mapping[Path, Setting], right: Mapping[Path, Setting]) -> list[Difference]:
    """What two clusters answer differently, in the order of the left one."""
    found = []
    for path in [*left, *(path for path in right if path not in left)]:
        one, other = left.get(path), right.get(path)
        if one is None or other is None or one.value != other.value:
            found.append(Difference(dotted(path), one, other))
    return found
