"""One YAML file of the repository -> a tree of located values, or every mistake in it.

Files are read from Git and may be hostile: the parser's events are looked at before anything is built from them, so
that the worst file costs milliseconds.

Types follow the YAML 1.2 core schema, and below `values` and `content` what Helm and Talos make of a scalar: see
`scalars`. Valid YAML that is refused all the same, each with its reason: docs/configuration.md, "What is not read".
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from infraflux.config.problems import ConfigProblems, Problem
from infraflux.config.scalars import Scalar, core_value, helm_value, talos_value
from infraflux.config.tree import CONTENT_KEY, VALUES_KEY, Data, Value
from infraflux.config.yaml_source import MAX_DEPTH, MAX_VALUES, events, read_text, relative

ReadScalar = Callable[[str], Scalar]
READERS: dict[str, ReadScalar] = {VALUES_KEY: helm_value, CONTENT_KEY: talos_value}
"""Who reads what stands below a key."""


def read_yaml(file: Path, *, root: Path, text: str | None = None) -> Value:
    """The file's one document, which is a map. Raises ConfigProblems with every mistake that can be told apart.

    `text` is read in place of what the file holds: how it would be.
    """
    shown = relative(file, root)
    return _Builder(shown).build(read_text(file, root=root, shown=shown) if text is None else text)


class _Builder:
    """Turns parser events into values; keeps going after a mistake that leaves the structure readable."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.count = 0

    def build(self, text: str) -> Value:
        try:
            root = self._document(events(text, self.file))
        except ConfigProblems as error:  # what was found before the text stopped being YAML is told as well
            raise ConfigProblems([*self.problems, *error.problems]) from None
        if self.problems:
            raise ConfigProblems(self.problems)
        return root

    def _fatal(self, line: int, wrong: str, right: str) -> NoReturn:
        raise ConfigProblems([Problem(self.file, line, "", wrong, right)])

    def _add(self, line: int, wrong: str, right: str) -> None:
        self.problems.append(Problem(self.file, line, "", wrong, right))

    def _document(self, stream: Iterator[Any]) -> Value:
        root: Value | None = None
        for event in stream:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self._fatal(
                        event.start_mark.line + 1, "starts a second document", "one document per file is expected"
                    )
                if event.version or event.tags:
                    self._fatal(1, "begins with a YAML directive", "remove the line that begins with %")
            elif isinstance(event, MappingStartEvent):
                root = self._tree(event, stream)
            elif isinstance(event, (ScalarEvent, SequenceStartEvent, AliasEvent)):
                if isinstance(event, ScalarEvent) and not event.value:
                    self._fatal(1, "is empty", "a map of keys and values is expected, or no file at all")
                self._fatal(event.start_mark.line + 1, "is not a map", "`key: value` lines are expected")
        if root is None:
            self._fatal(1, "is empty", "a map of keys and values is expected, or no file at all")
        return root

    def _tree(self, start: Any, stream: Iterator[Any]) -> Value:
        """One map or list with everything below it, without recursion."""
        root = self._container(start)
        stack = [_Open(root)]
        for event in stream:
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
                value, read = self._container(event), top.reader_below
                self._attach(top, value, value.line)
                stack.append(_Open(value, read))
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
        data = top.read(event.value) if event.implicit[0] else event.value
        if isinstance(data, float) and not math.isfinite(data):
            self._add(line, f"{event.value} is no finite number", "a number with digits is expected")
        self._attach(top, Value(data, self.file, line), line)

    def _key(self, top: "_Open", event: Any, line: int) -> None:
        key = event.value
        if event.implicit[0] and not isinstance(core_value(key), str):
            self._add(line, f"key {key!r} is not text", f"write it in quotes: {key!r}")
        elif event.implicit[0] and top.read is helm_value and not isinstance(read := helm_value(key), str):
            self._add(line, f"key {key!r} is not text: Helm reads {json.dumps(read)}", f"write it in quotes: {key!r}")
        elif key == "<<":
            self._add(line, "merges another map with <<", "put shared values into a more general layer")
        elif key in top.seen:
            self._add(line, f"key {key!r} appears twice in this map, first in line {top.seen[key]}", "keep one of them")
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

    __slots__ = ("is_map", "key", "read", "seen", "value")

    def __init__(self, value: Value, read: ReadScalar = core_value) -> None:
        self.value = value
        self.read = read
        self.is_map = isinstance(value.data, dict)
        self.key: str | None = None
        self.seen: dict[str, int] = {}

    @property
    def reader_below(self) -> ReadScalar:
        """Who reads what the next container holds: another program below its key, else whoever reads this one."""
        return READERS.get(self.key or "", self.read) if self.read is core_value else self.read
