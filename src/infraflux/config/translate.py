"""pydantic's errors -> problems in our words, at the line that holds the value."""

import re
from collections.abc import Callable, Iterator, Mapping, Sized
from datetime import date
from ipaddress import IPv4Network
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infraflux.config import suggest
from infraflux.config.models import ClusterSpec
from infraflux.config.patterns import MEANINGS
from infraflux.config.problems import Path, Problem, dotted
from infraflux.config.shape import field_at, section_at
from infraflux.config.suggest import did_you_mean
from infraflux.config.tree import Value, children, find, nearest

Words = tuple[str, str]
"""What is wrong, what would be right."""

_ADDRESS, _NETWORK = "an IPv4 address such as 10.0.0.10", "a network such as 10.0.0.0/24"
_TYPES = {
    "int_type": "a whole number", "int_from_float": "a whole number", "int_parsing": "a whole number",
    "bool_type": "true or false", "string_type": "text",
    "dict_type": "a map of keys and values", "model_type": "a map of keys and values",
    "model_attributes_type": "a map of keys and values", "tuple_type": "a list", "list_type": "a list",
    "float_type": "a number", "date_type": "a date such as 2030-01-31",
    "ip_v4_address": _ADDRESS, "ip_v4_network": _NETWORK,
}  # fmt: skip


def translate(error: ValidationError, tree: Value, *, prefix: Path = ()) -> Iterator[Problem]:
    """One problem for each of pydantic's errors; `prefix` is where the validated part is in the tree."""
    found = {
        named_path(tree, (*prefix, *_without_markers(detail))): detail
        for detail in reversed(error.errors(include_url=False))
        # A cluster's own rule is explained better by the checks.
        if detail["loc"] and not _follows(detail)
    }
    misspelt = {path: (*path[:-1], _meant(path)) for path, one in found.items() if one["type"] == "extra_forbidden"}
    for path, detail in reversed(found.items()):
        if detail["type"] != "missing" or not _is_misspelt(path, misspelt, tree):
            yield problem_at(tree, path, *words(detail, path))


def _is_misspelt(path: Path, misspelt: Mapping[Path, Path], tree: Value) -> bool:
    """Whether what is missing stands below a misspelt key."""
    return any(
        path[: len(meant)] == meant and find(tree, (*written, *path[len(meant) :])) is not None
        for written, meant in misspelt.items()
    )


def misspelt_sections(error: ValidationError) -> set[str]:
    """Sections that a misspelt key was meant to be: what is known of them is not all that was written."""
    paths = (detail["loc"] for detail in error.errors(include_url=False) if detail["type"] == "extra_forbidden")
    return {_meant(path) for path in paths if len(path) == 1}


def _follows(detail: ErrorDetails) -> bool:
    """Whether it only follows from another mistake: a missing neighbour, or items that were wrong and not counted."""
    if detail["type"] == "too_short" and isinstance(detail["input"], Sized):
        return len(detail["input"]) >= int(detail["ctx"]["min_length"])
    return detail["type"] == "default_factory_not_called"


def _meant(path: Path) -> str:
    """The key that a misspelt one was meant to be; empty where none is near."""
    section = section_at(ClusterSpec, path[:-1])
    return suggest.nearest(str(path[-1]), section.model_fields if section else ()) or ""


def problem_at(tree: Value, path: Path, wrong: str, right: str) -> Problem:
    """A problem at the line of the value, or of what is written closest to it."""
    where = nearest(tree, path)
    return Problem(where.file, where.line, dotted(path), wrong, right)


def _without_markers(detail: ErrorDetails) -> Path:
    return tuple(part for part in detail["loc"] if part != "[key]")


def named_path(tree: Value, loc: Path) -> Path:
    """pydantic's location with the names of list items in place of their indices."""
    path: list[str | int] = []
    value: Value | None = tree
    for part in loc:
        below = children(value) if value is not None else {}
        is_index = isinstance(part, int) and part not in below and part < len(below)
        key = list(below)[int(part)] if is_index else part
        path.append(key)
        value = below.get(key)
    return tuple(path)


def words(detail: ErrorDetails, path: Path) -> Words:
    """What is wrong and what would be right, for one of pydantic's errors."""
    kind = detail["type"]
    if kind in _TYPES:
        return _wrong_type(detail, _TYPES[kind])
    if kind in _SPEAKERS:
        return _SPEAKERS[kind](detail, path)
    if kind == "value_error" and (address := _address_kind(path)):
        return _wrong_type(detail, address)
    message = detail["msg"].removeprefix("Value error, ")
    wrong, _, right = message.partition("; ")
    return wrong, right or _hint(path)


def _wrong_type(detail: ErrorDetails, expected: str) -> Words:
    given = detail["input"]
    if expected == _NETWORK and isinstance(given, str) and (network := _network_of(given)):
        return f"{given} has host bits set", f"{network} would be right"
    if isinstance(given, str) and expected != "text":
        if expected.startswith(("a whole", "true", "a number")):
            return f"{given!r} is text", f"{expected} is expected, without quotes"
        return f"{given!r} is not {expected.split(' such as ', maxsplit=1)[0]}", f"{expected} is expected"
    return f"this is {describe(given)}", f"{expected} is expected" + _quoting(given, expected)


def _address_kind(path: Path) -> str:
    """What a value is expected to be where ipaddress, not a model, refused it; empty elsewhere."""
    info = field_at(ClusterSpec, path) or field_at(ClusterSpec, path[:-1])
    shown = str(info.annotation) if info else ""
    return _NETWORK if "IPv4Network" in shown else _ADDRESS if "IPv4Address" in shown else ""


def _network_of(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def _quoting(given: Any, expected: str) -> str:
    if expected == "text" and isinstance(given, (int, float)) and not isinstance(given, bool):
        return ": write it in quotes"
    return ""


def describe(given: Any) -> str:
    """A value as a message shows it."""
    if isinstance(given, bool):
        return f"the boolean {str(given).lower()}"
    if isinstance(given, (int, float)):
        return f"the number {given}"
    if isinstance(given, str):
        return f"the text {given!r}"
    if isinstance(given, date):
        return f"the date {given}"
    return "a list" if isinstance(given, (list, tuple)) else "a map" if isinstance(given, dict) else "nothing"


def _unknown_key(_detail: ErrorDetails, path: Path) -> Words:
    section = section_at(ClusterSpec, path[:-1])
    keys = sorted(section.model_fields) if section else []
    return f"unknown key {str(path[-1])!r}", did_you_mean(str(path[-1]), keys)


def _missing(_detail: ErrorDetails, path: Path) -> Words:
    return "is missing", _hint(path)


def _hint(path: Path) -> str:
    info = field_at(ClusterSpec, path)
    text = (info.description or "").strip().split("\n")[0] if info else ""
    return text.rstrip(".").replace("; ", ", ") or "a value is expected"


def _pattern(detail: ErrorDetails, _path: Path) -> Words:
    meaning = MEANINGS.get(detail["ctx"]["pattern"], f"text like {detail['ctx']['pattern']}")
    # What stands in the place of a reference may be the secret itself.
    given = "the value (not shown)" if "env:" in detail["ctx"]["pattern"] else repr(detail["input"])
    return f"{given} is not valid here", f"{meaning} is expected"


def _limit(symbol: str) -> Callable[[ErrorDetails, Path], Words]:
    def speak(detail: ErrorDetails, path: Path) -> Words:
        bound = next(value for key, value in detail["ctx"].items() if key in ("ge", "le", "gt", "lt"))
        return f"{detail['input']} is {symbol} {bound}", _range(path)

    return speak


def _range(path: Path) -> str:
    info = field_at(ClusterSpec, path)
    bounds = {
        name: getattr(meta, name)
        for meta in (info.metadata if info else [])
        for name in ("ge", "le")
        if hasattr(meta, name)
    }
    if len(bounds) == 2:
        return f"{bounds['ge']} to {bounds['le']} is allowed"
    return f"{bounds['ge']} or more is allowed" if "ge" in bounds else "a smaller number is expected"


def _choice(detail: ErrorDetails, _path: Path) -> Words:
    allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
    return f"{detail['input']!r} is not one of {', '.join(allowed)}", did_you_mean(str(detail["input"]), allowed)


def _too_short(detail: ErrorDetails, _path: Path) -> Words:
    if isinstance(detail["input"], str):
        return f"{detail['input']!r} is too short", "more characters are expected"
    return "is empty", f"at least {detail['ctx']['min_length']} is expected"


def _too_long(detail: ErrorDetails, _path: Path) -> Words:
    return (
        f"has {detail['ctx']['actual_length']} items or characters",
        f"at most {detail['ctx']['max_length']} are allowed",
    )


def _date(detail: ErrorDetails, _path: Path) -> Words:
    return f"{detail['input']!r} is not a date", "a date such as 2030-01-31 is expected"


_SPEAKERS: dict[str, Callable[[ErrorDetails, Path], Words]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "string_pattern_mismatch": _pattern,
    "greater_than_equal": _limit("below"),
    "less_than_equal": _limit("above"),
    "enum": _choice,
    "literal_error": _choice,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "too_long": _too_long,
    "string_too_long": _too_long,
    "date_from_datetime_parsing": _date,
    "date_parsing": _date,
}
