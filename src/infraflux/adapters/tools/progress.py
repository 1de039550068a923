"""What an installation says while it runs; whoever listens decides how to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something worth a line that belongs to no program."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The program was there already."""

    name: str
    version: str
    source: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Started:
    """A build begins, and why."""

    name: str
    version: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """A Go module is being downloaded."""

    name: str
    module: str


@dataclass(frozen=True, kw_only=True)
class Compiling:
    """`done` of `total` packages have been started; what the compiler's cache has is in neither."""

    name: str
    package: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The program was built, asked its version and put in place."""

    name: str
    version: str
    seconds: float
    path: Path


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The program could not be built."""

    name: str
    reason: str


Event = Note | Taken | Started | Fetching | Compiling | Installed | Failed
Listener = Callable[[Event], None]
