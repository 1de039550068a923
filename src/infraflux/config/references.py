"""References to secrets inside text that another program reads: which scalars are one, and the text with them put in.

Nothing here opens a secret. A scalar counts as a whole, or behind `NAME=` as the `environment` lists of Talos hold it.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.error import YAMLError
from yaml.tokens import AnchorToken, KeyToken, ScalarToken, TagToken

from infraflux.config.problems import Path

_REFERENCE = re.compile(
    r"(?P<before>[A-Za-z_][A-Za-z0-9_]*=)?"
    # file:///etc/x is a URL, and not the reference file:path.
    r"(?P<reference>env:[A-Za-z_][A-Za-z0-9_]*|file:(?!//)[^\s{}$]+|age:[^\s{}$]+#[A-Za-z0-9_.-]+)"
)
_ALMOST = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*=)?(?:env|age):\S*")
# The ends of key names below which programs expect a secret itself; names of Secrets end in others (existingSecret).
_SECRET_KEY = re.compile(
    r"(?i)(?:^|[a-z_.-])(?:password|passwd|passphrase|token|(?:api|auth|private|pre[_-]?shared)[_-]?key|"
    r"(?:client|encryption)[_-]?secret|secret[_-]?access[_-]?key)$"
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|AGE-SECRET-KEY-1|\btskey-\w|\bgh[pousr]_\w{20}|\bgithub_pat_\w{20}|"
    r"\bglpat-\w|\bxox[abeprs]-\w|\bdckr_pat_\w|\bhvs\.\w{20}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|"
    r"//hooks\.slack\.com/services/\w|"
    r"(?s:(?m:^)kind: *Secret\s.*(?m:^)(?:string)?[dD]ata:)|(?s:(?m:^)(?:string)?[dD]ata:.*(?m:^)kind: *Secret\b)"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")
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
        # Registries take `user:password` in base64 as `auth`.
        named = named or (key == "auth" and ":" in _decoded(self.text))
        return self.reference is None and bool(self.text) and (named or holds_secret(self.text))

    @property
    def is_meant_as_one(self) -> bool:
        """Whether somebody who wrote it where references are not resolved meant one: `env:prod` may be a label."""
        kind, _, name = (self.reference or "").partition(":")
        key = next((part for part in reversed(self.path) if isinstance(part, str)), "")
        return bool(name) and (is_secret_key(key) or kind == "age" or (kind == "env" and name.isupper()))


def is_secret_key(key: str) -> bool:
    """Whether a key of this name holds a secret itself."""
    return _SECRET_KEY.search(key) is not None


def holds_secret(text: str) -> bool:
    """Whether the text has the form of a secret: a private key, a well-known token, a password in a URL."""
    return any(_has_form(one) for one in (text, _decoded(text)))


def _has_form(text: str) -> bool:
    return _SECRET_VALUE.search(text) is not None or _PASSWORD_IN_URL.search(text) is not None


def _decoded(text: str) -> str:
    """What base64 stands for, as Talos and Kubernetes write keys; empty where it is none."""
    try:
        return b64decode(text, validate=True).decode() if _BASE64.fullmatch(text) else ""
    except ValueError:
        return ""


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
    """Start, end and match of every value that is a reference, by the scanner that reads every patch here."""
    found: list[tuple[int, int, re.Match[str]]] = []
    is_key = False
    if not any(kind in text for kind in ("env:", "file:", "age:")):
        return found  # most patches have none
    try:
        for token in yaml.scan(text, Loader=yaml.CSafeLoader):
            if isinstance(token, ScalarToken):
                if not is_key and (match := _REFERENCE.fullmatch(token.value)):
                    start, end = token.start_mark.index, token.end_mark.index
                    # A block scalar ends where the next token begins.
                    found.append((start, start + len(text[start:end].rstrip()), match))
                is_key = False
            else:
                is_key = isinstance(token, KeyToken) or (is_key and isinstance(token, (AnchorToken, TagToken)))
    except YAMLError:
        return []
    return found
