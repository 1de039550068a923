"""One YAML file of the repository -> a tree of located values, or every mistake in it.

Files are read from Git and may be hostile. The size is looked at before the bytes, the text before the parser, and the
parser's events (libyaml through ruamel.yaml) before anything is built, so that the worst file costs milliseconds.
Types follow the YAML 1.2 core schema: `off` and `12:34:56` are text, `1.30` is a number.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from infraflux.config.problems import ConfigProblems, Problem
from infraflux.config.tree import Data, Value

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 20_000

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# Everything that starts no number and no word above is text at once.
_TEXT_START = re.compile(r"[A-Za-z/_*]")
_WORD_STARTS = frozenset("nNtTfF")
# Control characters, and the marks that make text read in another order than it is written (Trojan Source).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


def read_yaml(file: Path, *, root: Path, text: str | None = None) -> Value:
    """The file's one document, which is a map. Raises ConfigProblems with every mistake that can be told apart.

    `text` is read in place of what the file holds: how it would be.
    """
    shown = relative(file, root)
    return _Builder(shown).build(_text(file, root=root, shown=shown) if text is None else text)


def relative(file: Path, root: Path) -> str:
    """The file as the messages show it."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def _refuse(file: str, line: int, wrong: str, right: str) -> NoReturn:
    raise ConfigProblems([Problem(file, line, "", wrong, right)])


def _text(file: Path, *, root: Path, shown: str) -> str:
    if not file.resolve().is_relative_to(root.resolve()):
        _refuse(shown, 0, "is a link that leaves the repository", "a file below the repository root is expected")
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            _refuse(shown, 0, f"has {size} bytes", f"at most {MAX_BYTES} are read")
        raw = file.read_bytes()
    except OSError as error:
        _refuse(shown, 0, f"cannot be read: {error.strerror}", "a readable regular file is expected")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        _refuse(shown, 1, "begins with a byte order mark", "save it as UTF-8 without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _refuse(shown, line, f"byte {raw[error.start]:#04x} is not UTF-8", "save the file as UTF-8")
    _refuse_characters(text, shown)
    return text


def _refuse_characters(text: str, shown: str) -> None:
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        _refuse(shown, line, f"holds the invisible character U+{ord(found[0]):04X}", "printable text is expected")


class _Builder:
    """Turns parser events into values; keeps going after a mistake that leaves the structure readable."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.count = 0

    def build(self, text: str) -> Value:
        events = self._events(text)
        root = self._document(events)
        if self.problems:
            raise ConfigProblems(self.problems)
        return root

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe").parse(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            self._fatal(line, *_explain_syntax(error.problem or error.context or "is no YAML", text, line))
        except YAMLError as error:
            self._fatal(1, f"is no YAML: {error}", "a map of keys and values is expected")

    def _fatal(self, line: int, wrong: str, right: str) -> NoReturn:
        raise ConfigProblems([*self.problems, Problem(self.file, line, "", wrong, right)])

    def _add(self, line: int, wrong: str, right: str) -> None:
        self.problems.append(Problem(self.file, line, "", wrong, right))

    def _document(self, events: Iterator[Any]) -> Value:
        root: Value | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self._fatal(
                        event.start_mark.line + 1, "starts a second document", "one document per file is expected"
                    )
                if event.version or event.tags:
                    self._fatal(1, "begins with a YAML directive", "remove the line that begins with %")
            elif isinstance(event, MappingStartEvent):
                root = self._tree(event, events)
            elif isinstance(event, (ScalarEvent, SequenceStartEvent, AliasEvent)):
                if isinstance(event, ScalarEvent) and not event.value:
                    self._fatal(1, "is empty", "a map of keys and values is expected, or no file at all")
                self._fatal(event.start_mark.line + 1, "is not a map", "`key: value` lines are expected")
        if root is None:
            self._fatal(1, "is empty", "a map of keys and values is expected, or no file at all")
        return root

    def _tree(self, start: Any, events: Iterator[Any]) -> Value:
        """One map or list with everything below it, without recursion."""
        root = self._container(start)
        stack = [_Open(root)]
        for event in events:
            top = stack[-1]
            if isinstance(event, ScalarEvent):
                self._scalar(top, event)
            elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
                stack.pop()
                if not stack:
                    return root
            elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
                if len(stack) >= MAX_DEPTH:
                    self._fatal(event.start_mark.line + 1, f"nests deeper than {MAX_DEPTH} levels", "flatten it")
                value = self._container(event)
                self._attach(top, value, value.line)
                stack.append(_Open(value))
            elif isinstance(event, AliasEvent):
                self._alias(top, event)
        return root

    def _container(self, event: Any) -> Value:
        self._plain_event(event)
        data: Data = {} if isinstance(event, MappingStartEvent) else []
        return Value(data, self.file, event.start_mark.line + 1)

    def _scalar(self, top: "_Open", event: Any) -> None:
        line = event.start_mark.line + 1
        self._plain_event(event)
        if top.is_map and top.key is None:
            self._key(top, event, line)
            return
        data = resolve(event.value) if event.implicit[0] else event.value
        if isinstance(data, float) and not math.isfinite(data):
            self._add(line, f"{event.value} is no finite number", "a number with digits is expected")
        self._attach(top, Value(data, self.file, line), line)

    def _key(self, top: "_Open", event: Any, line: int) -> None:
        key = event.value
        if event.implicit[0] and not isinstance(resolve(key), str):
            self._add(line, f"key {key!r} is not text", f"write it in quotes: {key!r}")
        elif key == "<<":
            self._add(line, "merges another map with <<", "put shared values into a more general layer")
        elif key in top.seen:
            self._add(line, f"key {key!r} stands twice in this map, first in line {top.seen[key]}", "keep one of them")
        top.seen.setdefault(key, line)
        top.key = key

    def _alias(self, top: "_Open", event: Any) -> None:
        line = event.start_mark.line + 1
        self._add(line, f"*{event.anchor} repeats another value", "put shared values into a more general layer")
        if top.is_map and top.key is None:
            top.key = f"*{event.anchor}"
        else:
            self._attach(top, Value(None, self.file, line), line)

    def _attach(self, top: "_Open", value: Value, line: int) -> None:
        if isinstance(top.value.data, list):
            top.value.data.append(value)
        elif isinstance(top.value.data, dict):
            if top.key is None:
                self._fatal(line, "uses a map or a list as a key", "keys are text")
            top.value.data.setdefault(top.key, value)
            top.key = None

    def _plain_event(self, event: Any) -> None:
        self.count += 1
        line = event.start_mark.line + 1
        if self.count > MAX_VALUES:
            self._fatal(line, f"holds more than {MAX_VALUES} values", "split it")
        if event.tag is not None:
            self._add(line, f"has the tag {event.tag}", "remove the tag; only plain YAML types are read")


class _Open:
    """A container that is being filled."""

    __slots__ = ("is_map", "key", "seen", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.is_map = isinstance(value.data, dict)
        self.key: str | None = None
        self.seen: dict[str, int] = {}


def resolve(text: str) -> str | int | float | bool | None:
    """A plain scalar's value by the YAML 1.2 core schema."""
    if text and _TEXT_START.match(text) and text[0] not in _WORD_STARTS:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 40 else text  # longer than any number we hold; int() is quadratic
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0) if len(text) < 40 else text
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(
            text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan")
        )
    return text


def _explain_syntax(problem: str, text: str, line: int) -> tuple[str, str]:
    lines = text.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in shown and ("token" in problem or "tab" in problem or "mapping" in problem):
        return "is indented with a tab", "indent with spaces"
    if problem == "found unexpected ':'":
        return "has a colon in a value between { and }", "write that value in quotes"
    return f"is no YAML: {problem}", "check indentation, colons and quotes around here"
