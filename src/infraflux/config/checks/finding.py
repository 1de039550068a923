"""A rule, what it needs, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from infraflux.config.models import ClusterSpec
from infraflux.config.problems import Path


@dataclass(frozen=True)
class Finding:
    """One broken rule: the value to blame, what is wrong, what would be right."""

    path: Path
    wrong: str
    right: str
    warning: bool = False
    """Said, and nothing is stopped by it: the configuration works, though perhaps not as it was meant."""
    at: tuple[str, int] | None = None
    """File and line where it stands outside the layers, such as in a patch file."""


@dataclass(frozen=True)
class Subject:
    """What the rules look at: a cluster, possibly with sections missing, in a repository."""

    spec: ClusterSpec
    root: FilePath


Rule = Callable[[Subject], Iterator[Finding]]


@dataclass(frozen=True)
class Check:
    """A rule with the top-level sections it reads."""

    rule: Rule
    sections: frozenset[str]


def needs(*sections: str) -> Callable[[Rule], Check]:
    """The rule runs as soon as these sections are valid, whatever is wrong with the others."""
    return lambda rule: Check(rule, frozenset(sections))
