"""The notation of the table: one line per parameter.

`cores int 1..` means: the parameter `cores`, an integer of at least 1. The words after the name are

- the kind: `bool`, `int`, `num`, `str`, `array`, a choice `a|b|c` (`=/dev/a|/dev/b` where it begins with a slash), a
  pattern `/.../`, a format `@node` (`@node*` is a list), or the key=value pairs of `{net}`;
- then, as they apply: a format beside a type, a range `0..128`, the most characters `<=40`, the fewest `>=5`, `!` for
  a parameter that must be there, and `needs:x` for one that is only valid beside x.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache


def words(text: str) -> tuple[str, ...]:
    """Names, written as a sentence."""
    return tuple(text.split())


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one value may be."""

    type: str = "string"
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    """Name of a format in `formats`."""
    many: bool = False
    """A list of such values in one text."""
    pairs: str = ""
    """Name of a group of key=value pairs."""
    minimum: float | None = None
    maximum: float | None = None
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A parameter."""

    kind: Kind
    required: bool = False
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """`key=value,...` in one text; the part without a key belongs to `default`."""

    rules: Mapping[str, Rule]
    default: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of a key: `volume` of `file`."""
    named_by: Mapping[str, str] = field(default_factory=dict)
    """Keys that set a second one to their own name: `virtio=MAC` is `model=virtio,macaddr=MAC`."""


_TYPES = {"bool": "boolean", "int": "integer", "num": "number", "str": "string", "array": "array"}


@cache
def rule(text: str) -> Rule:
    """Read the words after a name."""
    words = text.split()
    facts = _base(words[0])
    required, needs = False, ""
    for word in words[1:]:
        if word == "!":
            required = True
        elif word.startswith("needs:"):
            needs = word.removeprefix("needs:")
        elif word.startswith(("@", "{")):
            facts |= _base(word)
        else:
            facts |= _bound(word)
    return Rule(kind=Kind(**facts), required=required, needs=needs)  # type: ignore[arg-type]


def _base(word: str) -> dict[str, object]:
    if word in _TYPES:
        return {"type": _TYPES[word]}
    if word.startswith("/"):
        return {"pattern": word[1:-1]}
    if word.startswith("{"):
        return {"pairs": word[1:-1]}
    if word.startswith("@"):
        many = word.endswith("*")
        return {"form": word[1:].rstrip("*"), "many": many}
    return {"choices": tuple(choice for choice in word.removeprefix("=").split("|") if choice)}


def _bound(word: str) -> dict[str, object]:
    if word.startswith("<="):
        return {"longest": int(word[2:])}
    if word.startswith(">="):
        return {"shortest": int(word[2:])}
    low, _, high = word.partition("..")
    return {**({"minimum": float(low)} if low else {}), **({"maximum": float(high)} if high else {})}


def rules(text: str) -> dict[str, Rule]:
    """A block of lines, one parameter each; comments start with `#`."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition("#")[0].strip().partition(" ")
        if name:
            found[name] = rule(rest.strip())
    return found
