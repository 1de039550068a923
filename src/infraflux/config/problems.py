"""One line per mistake in the configuration, all of them at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from infraflux.core.errors import ErrorClass, Permanent

Path = tuple[str | int, ...]
"""Where a value is below the root of a cluster: keys, names of list items, or indices."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it stands, what is wrong, what would be right."""

    file: str
    """Relative to the repository root; empty where no file can be blamed."""
    line: int
    """From 1; 0 where the whole file is meant."""
    path: str
    wrong: str
    right: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.wrong}; {self.right}" if self.right else self.wrong
        return ": ".join(part for part in (where, self.path, what) if part)


class ConfigProblems(Permanent):
    """The configuration cannot be used; `problems` holds every mistake found."""

    default_class = ErrorClass.CONFIG

    def __init__(self, problems: Iterable[Problem], *, cluster: str = "") -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems), cluster=cluster)

    def __str__(self) -> str:
        count = len(self.problems)
        return f"{count} problem{'' if count == 1 else 's'} in the configuration:\n{self.message}"


def dotted(path: Iterable[str | int]) -> str:
    """`node_pools.workers.memory_mib`; a key that holds a dot is quoted, one that cannot be printed escaped as well."""
    return ".".join(_part(part) for part in path)


def _part(part: str | int) -> str:
    text = str(part)
    if not text.isprintable():  # it comes from a file: no line of a message may end in it, no terminal obey it
        text = text.encode("unicode_escape").decode()
    return f'"{text}"' if isinstance(part, str) and ("." in part or text != part) else text
