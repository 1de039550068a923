"""Plain data -> block YAML with stable bytes.

ruamel.yaml's writer keeps comments and styles, which rendered files have none of, and takes most of the time of
rendering a large fleet. This one writes maps, lists and scalars and nothing else; text that is not plainly text in both
YAML 1.1 and 1.2 is double-quoted, which every reader takes.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infraflux.config.scalars import Plain

# Begins with a letter or /, holds nothing that has a meaning, and is no word that YAML 1.1 reads as something else.
_PLAIN = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z/](?:[A-Za-z0-9._/@+=-]|:(?=[A-Za-z0-9/]))*", re.I
)
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")
# Like numbers to some reader: 1e3, 0x1f, 1_000, 12:34:56, .5; these begin with no letter and so are quoted anyway.


def dump(document: Mapping[str, Any]) -> str:
    """The document as text that ends with a newline. Raises TypeError for what YAML has no plain form for."""
    return "\n".join(_map(document, "")) + "\n" if document else "{}\n"


def _map(document: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in document.items():
        yield from _entry(f"{indent}{_text(key)}:", value, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield head
        yield from _map(value, indent + "  ")
    elif _is_list(value) and value:
        yield head
        yield from _list(value, indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _list(items: Sequence[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping) and item:
            lines = list(_map(item, indent + "  "))
            yield f"{indent}- {lines[0].lstrip()}"
            yield from lines[1:]
        elif _is_list(item) and item:
            lines = list(_list(item, indent + "  "))
            yield f"{indent}- {lines[0].lstrip()}"
            yield from lines[1:]
        else:
            yield f"{indent}- {_scalar(item)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _scalar(value: Any) -> str:
    if isinstance(value, Plain):  # what it means is for its reader to say
        return str(value)
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)  # numbers, booleans, null, and empty maps and lists


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return str(text)
    # YAML knows no surrogate pairs: beyond ASCII it has escapes of its own.
    return _BEYOND_ASCII.sub(_escape, json.dumps(str(text), ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
