"""Configuration values that know where they were written, and the one way two layers are merged.

Merging: maps merge key by key; lists whose items all have a `name` merge by name, in order of first appearance; every
other list and every scalar replaces; `null` removes, and `$patch: delete` removes a named item. Below an opaque key
(Helm values, Talos patches) lists always replace and `null` and `$patch` are data, because Helm and Talos read them.

Merging is associative: a value that hides what is below it stays marked (`cut`), so layers may be merged in any
grouping. Trees are never changed in place; merged trees share what they did not change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from infraflux.config.problems import Path

DELETE_KEY = "$patch"
VALUES_KEY, CONTENT_KEY = "values", "content"
OPAQUE_KEYS = frozenset({VALUES_KEY, CONTENT_KEY})
"""Keys whose maps belong to other programs; the models hold them as free-form maps (held by a test)."""

Data: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A scalar, map or list with the place it was written at and what it hid."""

    data: Data
    file: str
    line: int
    over: "Value | None" = None
    """The value of the next more general layer that this one replaced."""
    cut: bool = False
    """Nothing of more general layers shows through, even where both are maps or named lists."""

    @property
    def history(self) -> Iterator["Value"]:
        """Everything this value overrode, the most specific first."""
        older = self.over
        while older is not None:
            yield older
            older = older.over


def merge(lower: Value, upper: Value, *, opaque: bool = False) -> Value:
    """`upper` over `lower`."""
    if not upper.cut:
        low, up = lower.data, upper.data
        if isinstance(low, dict) and isinstance(up, dict):
            return _hide(Value(_merge_maps(low, up, opaque), upper.file, upper.line, upper.over, lower.cut), lower.over)
        if isinstance(low, list) and isinstance(up, list) and not opaque and _named(low) and _named(up):
            return _hide(Value(_merge_named(low, up), upper.file, upper.line, upper.over, lower.cut), lower.over)
    return _hide(Value(upper.data, upper.file, upper.line, upper.over, True), lower)


def _hide(upper: Value, lower: Value | None) -> Value:
    """`upper` with `lower` at the end of what it overrode."""
    if lower is None:
        return upper
    chain = lower if upper.over is None else _hide(upper.over, lower)
    return Value(upper.data, upper.file, upper.line, chain, upper.cut)


def _merge_maps(low: dict[str, Value], up: dict[str, Value], opaque: bool) -> dict[str, Value]:
    merged = dict(low)
    for key, value in up.items():
        below = low.get(key)
        merged[key] = value if below is None else merge(below, value, opaque=opaque or key in OPAQUE_KEYS)
    return merged


def _merge_named(low: list[Value], up: list[Value]) -> list[Value]:
    merged = {name_of(item): item for item in low}
    for item in up:
        name = name_of(item)
        below = merged.get(name)
        merged[name] = item if below is None else _merge_items(below, item)
    return list(merged.values())


def _merge_items(low: Value, up: Value) -> Value:
    if deleted(low) or deleted(up):
        return _hide(Value(up.data, up.file, up.line, up.over, True), low)
    return merge(low, up)


def name_of(item: Value) -> str | None:
    """The name that identifies a list item, or None."""
    if isinstance(item.data, dict) and (name := item.data.get("name")) is not None and isinstance(name.data, str):
        return name.data
    return None


def _named(items: list[Value]) -> bool:
    return bool(items) and all(name_of(item) is not None for item in items)


def deleted(item: Value) -> bool:
    """True for a list item that only says `$patch: delete`."""
    return isinstance(item.data, dict) and (mark := item.data.get(DELETE_KEY)) is not None and mark.data == "delete"


def children(value: Value, *, opaque: bool = False) -> Mapping[str | int, Value]:
    """What is left below a value once removals are done; list items by name where they have one, else by index."""
    if isinstance(value.data, dict):
        return {key: child for key, child in value.data.items() if opaque or child.data is not None}
    if isinstance(value.data, list):
        if opaque or not _named(value.data):
            return dict(enumerate(value.data))
        return {name_of(item) or index: item for index, item in enumerate(value.data) if not deleted(item)}
    return {}


def plain(value: Value, *, opaque: bool = False) -> Any:
    """The value without its provenance, removals done."""
    data = value.data
    if isinstance(data, dict):
        return {
            key: plain(child, opaque=opaque or key in OPAQUE_KEYS)
            for key, child in data.items()
            if opaque or child.data is not None
        }
    if isinstance(data, list):
        return [plain(item, opaque=opaque) for item in data if opaque or not deleted(item)]
    return data


def find(root: Value, path: Path) -> Value | None:
    """The value at a path, or None where nothing is left there."""
    value, opaque = root, False
    for part in path:
        below = children(value, opaque=opaque).get(part)
        if below is None:
            return None
        value, opaque = below, opaque or part in OPAQUE_KEYS
    return value


def nearest(root: Value, path: Path) -> Value:
    """The value at a path or, where there is none, what is written closest to it: a removal, or its parent."""
    value = root
    for part in path:
        below = children(value).get(part)
        if below is None and isinstance(value.data, dict) and isinstance(part, str):
            below = value.data.get(part)  # a removal says where the value went
        if below is None:
            return value
        value = below
    return value


def leaves(value: Value, path: Path = (), *, opaque: bool = False) -> Iterator[tuple[Path, Value]]:
    """Every scalar, empty container and unnamed list with its path, in the order written."""
    below = children(value, opaque=opaque)
    whole = not below or (isinstance(value.data, list) and all(isinstance(key, int) for key in below))
    if whole:
        yield path, value
        return
    for key, child in below.items():
        yield from leaves(child, (*path, key), opaque=opaque or key in OPAQUE_KEYS)
