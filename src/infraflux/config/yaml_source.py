"""A YAML file of the repository -> its text, and the text -> parser events; both refuse what is made to hurt.

The size is looked at before the bytes, and the text before the parser. The parser is libyaml 0.2.5 as PyYAML carries
it: the one that ruamel.yaml carries is older and refuses `[https://example.net]`, which is valid YAML 1.2 (7.3.3).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.error import MarkedYAMLError, YAMLError

from infraflux.config.problems import ConfigProblems, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 20_000

# Control characters, and the marks that make text read in another order than it is written (Trojan Source).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
# `[::1]` is valid YAML 1.2; libyaml takes the first colon for the end of an empty key.
_COLON_FIRST = re.compile(r"[\[{,:]\s*::")


def relative(file: Path, root: Path) -> str:
    """The file as the messages show it."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def refuse(file: str, line: int, wrong: str, right: str) -> NoReturn:
    """Raises the one problem that keeps the file from being read."""
    raise ConfigProblems([Problem(file, line, "", wrong, right)])


def read_text(file: Path, *, root: Path, shown: str) -> str:
    """What the file holds, as printable UTF-8. Raises ConfigProblems."""
    if not file.resolve().is_relative_to(root.resolve()):
        refuse(shown, 0, "is a link that leaves the repository", "a file below the repository root is expected")
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            refuse(shown, 0, f"has {size} bytes", f"at most {MAX_BYTES} are read")
        raw = file.read_bytes()
    except OSError as error:
        refuse(shown, 0, f"cannot be read: {error.strerror}", "a readable regular file is expected")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        refuse(shown, 1, "begins with a byte order mark", "save it as UTF-8 without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        refuse(shown, line, f"byte {raw[error.start]:#04x} is not UTF-8", "save the file as UTF-8")
    _refuse_characters(text, shown)
    return text


def _refuse_characters(text: str, shown: str) -> None:
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        refuse(shown, line, f"holds the invisible character U+{ord(found[0]):04X}", "printable text is expected")


def events(text: str, file: str) -> Iterator[Any]:
    """The parser's events. Raises ConfigProblems where the text is no YAML."""
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        refuse(file, line, *_explain_syntax(error.problem or error.context or "is no YAML", text, line))
    except YAMLError as error:
        refuse(file, 1, f"is no YAML: {' '.join(str(error).split())}", "a map of keys and values is expected")


def _explain_syntax(problem: str, text: str, line: int) -> tuple[str, str]:
    lines = text.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in shown and ("token" in problem or "tab" in problem or "mapping" in problem):
        return "is indented with a tab", "indent with spaces"
    colon_first = problem == "did not find expected node content" and _COLON_FIRST.search(shown)
    if problem == "found unexpected ':'" or colon_first:
        return "has a value with a colon at its start or end between { } or [ ]", "write that value in quotes"
    return f"is no YAML: {problem}", "check indentation, colons and quotes around here"
