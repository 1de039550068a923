"""What a scalar without quotes means: to our own models, to Helm, to Talos.

- our models read the YAML 1.2 core schema: `off` and `12:34:56` are text, `017` is 17, `1.30` is a number;
- Helm reads values through sigs.k8s.io/yaml 1.6 on go.yaml.in/yaml/v2 (its resolve.go): `0644` is 420, `yes` and `y`
  are true, `1_000` is 1000, dates are text;
- Talos decodes into typed fields with go.yaml.in/yaml/v4: `0644` is 420 where a number belongs and the text 0644 where
  text belongs. Only Talos knows which, so what is written is kept as it is: `Plain`.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

Scalar = str | int | float | bool | None

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NULLS: dict[str, Scalar] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_WORDS: dict[str, Scalar] = {**_NULLS, **dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
_GO_WORDS: dict[str, Scalar] = {
    **_WORDS,
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
# Everything that starts no number and no word above is text at once.
_TEXT_START = re.compile(r"[A-Za-z/_*]")
_WORD_STARTS = frozenset("nNtTfF")

# strconv.ParseInt with base 0, underscores gone: 0x, 0o, 0b, and a leading 0 is octal.
_GO_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)|(?P<d>0|[1-9][0-9]*))"
)
_GO_FRACTION = re.compile(r"\.[0-9](_?[0-9])*([eE][-+]?[0-9](_?[0-9])*)?")
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
_LONGEST_NUMBER = 400
"""Longer ones are text: no number that we hold is, and int() takes quadratic time."""
_LIKE_A_DATE = re.compile(r"[0-9]{4}-")


PLAIN_KEY = "$plain"
"""How a Plain is told in JSON, which has no such thing: `{"$plain": "0644"}`."""


class Plain(str):
    """Text that stood without quotes and that some reader takes for more than text; it is written back without."""

    __slots__ = ()


def core_value(text: str) -> Scalar:
    """A plain scalar's value by the YAML 1.2 core schema: what our own models read."""
    if text and _TEXT_START.match(text) and text[0] not in _WORD_STARTS:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 40 else text
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0) if len(text) < 40 else text
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return _float(text)
    return text


def helm_value(text: str) -> Scalar:
    """A plain scalar's value as Helm reads it."""
    if text in _GO_WORDS:
        return _GO_WORDS[text]
    if _NOT_FINITE.fullmatch(text.removeprefix("+")):
        return _float(text)
    if not text or text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    number = _go_number(text)
    return text if isinstance(number, float) and math.isinf(number) else number


def talos_value(text: str) -> Scalar:
    """A plain scalar for Talos: a value where every spelling of it means the same, else `Plain`."""
    if text in _NULLS:
        return None
    if text in ("true", "false"):
        return text == "true"
    value = core_value(text)
    if not isinstance(value, str) and not isinstance(value, bool) and json.dumps(value) == text:
        return value
    text_to_all = isinstance(value, str) and isinstance(helm_value(text), str) and not _LIKE_A_DATE.match(text)
    return text if text_to_all or "\n" in text else Plain(text)


def _go_number(text: str) -> Scalar:
    # After a leading point strconv.ParseFloat alone decides: underscores between digits only.
    if text[0] == "." and not _GO_FRACTION.fullmatch(text):
        return text
    digits = text.replace("_", "")
    if found := _GO_INTEGER.fullmatch(digits):
        base = next(name for name in _BASES if found[name] is not None)
        value = int(found[base], _BASES[base])
        value = -value if found["sign"] == "-" else value
        # Beyond 64 bits strconv refuses; a decimal one is tried as a float then. ParseUint takes no sign.
        if -(2**63) <= value < (2**63 if found["sign"] else 2**64):
            return value
    return float(digits) if _FLOAT.fullmatch(digits) else text


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def with_marks(value: Any) -> Any:
    """The same data for JSON: every Plain marked as one."""
    if isinstance(value, Plain):
        return {PLAIN_KEY: str(value)}
    if isinstance(value, dict):
        return {key: with_marks(child) for key, child in value.items()}
    return [with_marks(child) for child in value] if isinstance(value, (list, tuple)) else value


def without_marks(value: Any) -> Any:
    """What `with_marks` was given."""
    if is_mark(value):
        return Plain(value[PLAIN_KEY])
    if isinstance(value, dict):
        return {key: without_marks(child) for key, child in value.items()}
    return [without_marks(child) for child in value] if isinstance(value, (list, tuple)) else value


def is_mark(value: Any) -> bool:
    """Whether this is a Plain as JSON tells it."""
    return isinstance(value, Mapping) and list(value) == [PLAIN_KEY] and isinstance(value[PLAIN_KEY], str)
