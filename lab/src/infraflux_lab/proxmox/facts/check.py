"""The one checker: the values of a call against the table."""

import re
from collections.abc import Mapping
from functools import lru_cache

from infraflux_lab.proxmox.facts.calls import PATH, CallFacts
from infraflux_lab.proxmox.facts.formats import FORMATS
from infraflux_lab.proxmox.facts.kinds import Kind, Pairs, Rule
from infraflux_lab.proxmox.facts.options import CPU_FLAGS, CPU_MODELS, FAMILIES, OPTIONS, PAIRS

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"
_NUMBERED = re.compile(r"([a-z]+)(\d+)")
_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?")
_TYPES = {"boolean": re.compile("[01]"), "integer": _INTEGER, "number": _NUMBER}
_LIST_SEPARATORS = re.compile(r"[,;\0\s]+")
_TRUE, _FALSE = ("1", "on", "yes", "true"), ("0", "off", "no", "false")
Values = Mapping[str, str | list[str]]


class BadText(Exception):
    """A text that is no `key=value,...` at all."""


def option_rule(name: str) -> Rule | None:
    """The rule of a guest option, numbered or not."""
    if name in OPTIONS:
        return OPTIONS[name]
    match = _NUMBERED.fullmatch(name)
    if match is None or match[1] not in FAMILIES or (match[2] != "0" and match[2].startswith("0")):
        return None
    highest, rule = FAMILIES[match[1]]
    return rule if int(match[2]) <= highest else None


def check_call(facts: CallFacts, *, path: Mapping[str, str], form: Values) -> dict[str, str]:
    """What is wrong with a call, by parameter."""
    problems: dict[str, str] = {}
    for name, text in path.items():
        _note(problems, name, check_value(name, PATH[name].kind, text))
    for name, value in form.items():
        if name in path:
            continue
        rule = facts.rules.get(name) or (option_rule(name) if facts.guest_options else None)
        if rule is None:
            _note(problems, name, None if facts.takes_anything else UNKNOWN)
            continue
        _note(problems, name, check_value(name, rule.kind, value))
        if rule.needs and rule.needs not in form:
            _note(problems, rule.needs, f"missing property required by '{name}'")
    for name, rule in facts.rules.items():
        if rule.required and name not in form:
            _note(problems, name, MISSING)
    return problems


def check_options(form: Values) -> dict[str, str]:
    """What is wrong with options of a guest, by option."""
    return check_call(CallFacts(rules={}, guest_options=True), path={}, form=form)


def _note(problems: dict[str, str], name: str, problem: str | None) -> None:
    if problem:
        problems.setdefault(name, problem)


def check_value(name: str, kind: Kind, value: str | list[str]) -> str | None:
    """The complaint about one value."""
    if kind.type == "array":
        return _items_complaint(name, kind, [value] if isinstance(value, str) else value)
    if isinstance(value, list):
        if not kind.many:
            return f"type check ('{kind.type}') failed - got ARRAY"
        value = ",".join(value)
    # The same few texts come again and again: every plan of every cluster sends them.
    return _check_text(name, kind, value)


def _items_complaint(name: str, kind: Kind, items: list[str]) -> str | None:
    if not kind.pairs:
        return None
    found = (_pairs_complaint(f"{name}[{number}]", kind.pairs, item) for number, item in enumerate(items))
    return next((complaint for complaint in found if complaint), None)


@lru_cache(maxsize=4096)
def _check_text(name: str, kind: Kind, text: str) -> str | None:
    complaint = _type_complaint(kind, text) or _format_complaint(name, kind, text)
    return complaint or _choice_complaint(kind, text) or _bound_complaint(kind, text)


def _type_complaint(kind: Kind, text: str) -> str | None:
    pattern = _TYPES.get(kind.type)
    return None if pattern is None or pattern.fullmatch(text) else f"type check ('{kind.type}') failed - got '{text}'"


def _format_complaint(name: str, kind: Kind, text: str) -> str | None:
    if kind.pairs:
        return _pairs_complaint(name, kind.pairs, text)
    if kind.form:
        parts = [part for part in _LIST_SEPARATORS.split(text) if part] if kind.many else [text]
        complaint = next((found for part in parts if (found := FORMATS[kind.form](part))), None)
        if complaint:
            return f"invalid format - {complaint}\n"
    return None


def _choice_complaint(kind: Kind, text: str) -> str | None:
    if kind.pattern and not re.fullmatch(kind.pattern, text):
        return "value does not match the regex pattern"
    if kind.choices and text not in kind.choices:
        return f"value '{text}' does not have a value in the enumeration '{', '.join(kind.choices)}'"
    return None


def _bound_complaint(kind: Kind, text: str) -> str | None:
    if kind.longest is not None and len(text) > kind.longest:
        return f"value may only be {kind.longest} characters long"
    if kind.shortest is not None and len(text) < kind.shortest:
        return f"value must be at least {kind.shortest} characters long"
    if not _NUMBER.fullmatch(text):
        return None
    if kind.maximum is not None and float(text) > kind.maximum:
        return f"value must have a maximum value of {kind.maximum:.0f}"
    if kind.minimum is not None and float(text) < kind.minimum:
        return f"value must have a minimum value of {kind.minimum:.0f}"
    return None


def _pairs_complaint(name: str, group: str, text: str) -> str | None:
    pairs = PAIRS[group]
    try:
        values = split_pairs(pairs, text)
    except BadText as error:
        return f"invalid format - {error}\n"
    problems: dict[str, str] = {}
    for key, value in values.items():
        _note(problems, key, check_value(key, pairs.rules[key].kind, value))
        needs = pairs.rules[key].needs
        if needs and needs not in values:
            _note(problems, needs, f"missing property required by '{name}.{key}'")
    for key, rule in pairs.rules.items():
        if rule.required and key not in values:
            _note(problems, key, MISSING)
    if problems:
        lines = "".join(f"{name}.{key}: {complaint}\n" for key, complaint in sorted(problems.items()))
        return f"invalid format - format error\n{lines}"
    complaint = _cpu_complaint(values) if group == "cpu" else None
    return f"invalid format - {complaint}\n" if complaint else None


def split_pairs(pairs: Pairs, text: str) -> dict[str, str]:
    """The keys of a text, aliases resolved, words for booleans read."""
    values: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        key, separator, value = part.partition("=")
        if separator and not (key and value):
            raise BadText("missing key in comma-separated list property")
        if not separator:
            key, value = pairs.default, part
            if not key:
                raise BadText("value without key, but schema does not define a default key")
        elif key in pairs.named_by:
            _put(values, pairs.default, key)
            key = pairs.named_by[key]
        key = pairs.aliases.get(key, key)
        if key not in pairs.rules:
            raise BadText(f"invalid key in comma-separated list property: {key}")
        _put(values, key, _boolean(value) if pairs.rules[key].kind.type == "boolean" else value)
    return values


def _put(values: dict[str, str], key: str, value: str) -> None:
    if key in values:
        raise BadText(f"duplicate key in comma-separated list property: {key}")
    values[key] = value


def _boolean(text: str) -> str:
    lowered = text.lower()
    return "1" if lowered in _TRUE else "0" if lowered in _FALSE else text


def _cpu_complaint(values: Mapping[str, str]) -> str | None:
    """qm.conf(5), cpu: a model that the host knows, and only the flags that are safe to give to a guest."""
    model = values.get("cputype", "kvm64")
    if model.startswith("custom-"):
        return f"Custom cputype '{model.removeprefix('custom-')}' not found"
    if model not in CPU_MODELS:
        return f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)"
    flags = [flag[1:] for flag in values.get("flags", "").split(";") if flag]
    if not set(flags) <= CPU_FLAGS:
        return f"VM-specific CPU flags must be a subset of: {', '.join(sorted(CPU_FLAGS))}"
    return None
