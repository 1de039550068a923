"""A rule, what it needs, and what it finds."""

from collections.abc import Callable, Collection, Iterator
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


@dataclass(frozen=True)
class Subject:
    """What the rules look at: a cluster, possibly with sections missing, in a repository."""

    spec: ClusterSpec
    root: FilePath


Rule = Callable[[Subject], Iterator[Finding]]

CHECKS: list[tuple[Rule, frozenset[str]]] = []
"""Every rule with the top-level sections it reads."""


def needs(*sections: str) -> Callable[[Rule], Rule]:
    """Registers a rule; it runs as soon as these sections are valid, whatever is wrong with the others."""

    def register(rule: Rule) -> Rule:
        CHECKS.append((rule, frozenset(sections)))
        return rule

    return register


def run_checks(subject: Subject, *, valid: Collection[str]) -> Iterator[Finding]:
    """The findings of every rule whose sections are valid."""
    for rule, sections in CHECKS:
        if sections <= set(valid):
            yield from rule(subject)
