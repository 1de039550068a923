"""YAML that is another program's: patch files for Talos, values for Helm; read to look into it, not to judge it.

Anchors, merges, tags, several documents and any root are allowed here. The bounds of our own files hold all the same:
what an alias repeats is counted again, so no file grows beyond them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from infraflux.config.problems import ConfigProblems, Problem
from infraflux.config.tree import Data, Value
from infraflux.config.yaml_reader import ReadScalar
from infraflux.config.yaml_source import MAX_DEPTH, MAX_VALUES, events, read_text, relative

_MERGE = "<<"
_TEXT_TAG = "tag:yaml.org,2002:str"


def read_documents(file: Path, *, root: Path, scalar: ReadScalar) -> list[Value]:
    """Every document of the file that holds something. Raises ConfigProblems where it is no YAML or out of bounds."""
    shown = relative(file, root)
    return list(_Reader(shown, scalar).documents(read_text(file, root=root, shown=shown)))


def parse_documents(text: str, *, shown: str, scalar: ReadScalar, limit: int = MAX_VALUES) -> list[Value]:
    """The same of a text."""
    return list(_Reader(shown, scalar, limit).documents(text))


class _Reader:
    def __init__(self, file: str, scalar: ReadScalar, limit: int = MAX_VALUES) -> None:
        self.file = file
        self.read = scalar
        self.limit = limit
        self.count = 0
        self.anchors: dict[str, tuple[Value, int]] = {}

    def documents(self, text: str) -> Iterator[Value]:
        stream = events(text, self.file)
        for event in stream:
            if isinstance(event, DocumentStartEvent):
                self.anchors.clear()
                for first in stream:
                    if isinstance(first, DocumentEndEvent):
                        break
                    value = self._value(first, stream, depth=1)
                    if value.data is not None:
                        yield value

    def _value(self, event: Any, stream: Iterator[Any], *, depth: int) -> Value:
        line, before = event.start_mark.line + 1, self.count
        self._grow(line, 1)
        if isinstance(event, AliasEvent):
            return self._alias(event.anchor, line)
        if isinstance(event, ScalarEvent):
            is_plain = event.implicit[0] and event.tag != _TEXT_TAG
            value = Value(self.read(event.value) if is_plain else event.value, self.file, line)
        elif depth > MAX_DEPTH:
            self._refuse(line, f"nests deeper than {MAX_DEPTH} levels", "flatten it")
        else:
            value = Value(self._container(event, stream, depth), self.file, line)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.count - before)
        return value

    def _container(self, start: Any, stream: Iterator[Any], depth: int) -> Data:
        if isinstance(start, SequenceStartEvent):
            return [self._value(event, stream, depth=depth + 1) for event in _until(stream, SequenceEndEvent)]
        assert isinstance(start, MappingStartEvent)
        found: dict[str, Value] = {}
        for event in _until(stream, MappingEndEvent):
            key = event.value if isinstance(event, ScalarEvent) else ""
            if not isinstance(event, ScalarEvent):
                self._value(event, stream, depth=depth + 1)
            found[key] = self._value(next(stream), stream, depth=depth + 1)
        return _merged(found)

    def _alias(self, name: str, line: int) -> Value:
        if name not in self.anchors:
            self._refuse(line, f"*{name} repeats a value that is not there", f"write &{name} before it")
        value, size = self.anchors[name]
        self._grow(line, size)
        return Value(value.data, self.file, line)

    def _grow(self, line: int, by: int) -> None:
        self.count += by
        if self.count > self.limit:
            self._refuse(line, f"holds more than {self.limit} values", "split it")

    def _refuse(self, line: int, wrong: str, right: str) -> NoReturn:
        raise ConfigProblems([Problem(self.file, line, "", wrong, right)])


def _until(stream: Iterator[Any], end: type) -> Iterator[Any]:
    for event in stream:
        if isinstance(event, end):
            return
        yield event


def _merged(found: dict[str, Value]) -> dict[str, Value]:
    """The map with what `<<` names below it."""
    merge = found.pop(_MERGE, None)
    if merge is None:
        return found
    sources = merge.data if isinstance(merge.data, list) else [merge]
    for source in sources:
        if isinstance(source.data, dict):
            found = {**source.data, **found}
    return found
