"""References to secrets inside text that another program reads: which scalars are one, and the text with them put in.

Nothing here opens a secret. A scalar counts as a whole, or behind `NAME=` as the `environment` lists of Talos hold it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import KeyToken, ScalarToken

from infraflux.config.problems import Path

_REFERENCE = re.compile(
    r"(?P<before>[A-Za-z_][A-Za-z0-9_]*=)?"
    # file:///etc/x is a URL, and not the reference file:path.
    r"(?P<reference>env:[A-Za-z_][A-Za-z0-9_]*|file:(?!//)[^\s{}$]+|age:[^\s{}$]+#[A-Za-z0-9_.-]+)"
)
_ALMOST = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*=)?(?:env|age):\S*")
# The ends of key names below which programs expect a secret itself; names of Secrets end in others (existingSecret).
_SECRET_KEY = re.compile(
    r"(?i)(?:^|[a-z_.-])(?:password|passwd|passphrase|token|api_?key|auth_?key|private_?key|pre_?shared_?key|"
    r"client_?secret|secret_?access_?key)$"
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1|\btskey-\w|\bgh[pousr]_\w{20}|\bglpat-\w"
)
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)", re.DOTALL)
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")


@dataclass(frozen=True)
class Scalar:
    """One text below a document, and where."""

    path: Path
    text: str

    @property
    def reference(self) -> str | None:
        """The reference that it is or ends in."""
        found = _REFERENCE.fullmatch(self.text)
        return found["reference"] if found else None

    @property
    def is_almost_one(self) -> bool:
        """Whether somebody meant a reference and wrote none."""
        return self.reference is None and _ALMOST.fullmatch(self.text) is not None

    @property
    def looks_secret(self) -> bool:
        """Whether a secret itself stands here, going by its key, its form, or the name it is assigned to."""
        key = next((part for part in reversed(self.path) if isinstance(part, str)), "")
        assigned = _ASSIGNED.fullmatch(self.text)
        named = is_secret_key(key) or (assigned is not None and is_secret_key(assigned[1]))
        return self.reference is None and bool(self.text) and (named or holds_secret(self.text))


def is_secret_key(key: str) -> bool:
    """Whether a key of this name holds a secret itself."""
    return _SECRET_KEY.search(key) is not None


def holds_secret(text: str) -> bool:
    """Whether the text has the form of a secret: a private key, a well-known token, a password in a URL."""
    return _SECRET_VALUE.search(text) is not None or _PASSWORD_IN_URL.search(text) is not None


def scalars(node: Any, path: Path = ()) -> Iterator[Scalar]:
    """Every text below a document."""
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from scalars(child, (*path, str(key)))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from scalars(child, (*path, index))
    elif isinstance(node, str):
        yield Scalar(path, node)


def put_in(text: str, value_of: Callable[[str], str]) -> str:
    """YAML text with the value in the place of each reference; every other byte stays as it is.

    Text that is no YAML has no references: whoever reads it says what is wrong with it.
    """
    pieces, done = [], 0
    for start, end, found in _found(text):
        pieces += [text[done:start], _quoted((found["before"] or "") + value_of(found["reference"]))]
        done = end
    return "".join([*pieces, text[done:]])


def _quoted(text: str) -> str:
    """Double-quoted YAML in ASCII. JSON's own escapes are YAML's, but for characters beyond the first plane."""
    return "".join(f"\\U{ord(one):08x}" if ord(one) > 0xFFFF else json.dumps(one)[1:-1] for one in text).join('""')


def _found(text: str) -> list[tuple[int, int, re.Match[str]]]:
    found: list[tuple[int, int, re.Match[str]]] = []
    before: Any = None
    if not any(kind in text for kind in ("env:", "file:", "age:")):
        return found  # reading takes long, and most patches have none
    try:
        for token in YAML(typ="safe", pure=True).scan(text):
            is_value = isinstance(token, ScalarToken) and not isinstance(before, KeyToken)
            if is_value and (match := _REFERENCE.fullmatch(token.value)):
                found.append((token.start_mark.index, token.end_mark.index, match))
            before = token
    except YAMLError:
        return []
    return found
