"""Whether a command line of `infraflux`, as a person would type it, exists: its commands and its options."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

from infraflux.cli.main import COMMANDS, app_for

ENDS = frozenset({";", "&&", "||", "|", ">", ">>", "&", "(", ")", "#"})
BEFORE = ENDS | {"run", "--frozen", "exec"}
"""What may stand before a program: the end of another command, or one that starts it (`uv run --frozen`)."""


def words_after(program: str, line: str) -> Iterator[list[str]]:
    """The words that follow each call of `program` in a line; brackets of a synopsis and quotes are left out."""
    line = line.replace("\\|", "|").replace("$(", " ( ")
    line = re.sub(r"\s+[|]\s+(?=-)", " ", line)  # `[--restore | --forget]`
    line = re.sub(r"[\[\]\"'…,]", " ", line)
    words = re.sub(r"(&&|;|\(|\)|#)", r" \1 ", line).split()
    for at, word in enumerate(words):
        if word == program and (at == 0 or words[at - 1] in BEFORE):
            rest = words[at + 1 :]
            yield rest[: next((place for place, one in enumerate(rest) if one in ENDS or one == program), len(rest))]


@cache
def tree(subject: str) -> Any:
    return typer.main.get_command(app_for([subject]))


def problems_of(words: list[str]) -> list[str]:
    """What in a call of `infraflux` does not exist."""
    if not words or words[0].startswith("-"):
        return []
    found = []
    for subject in words[0].split("|"):
        if subject not in COMMANDS:
            found.append(f"no command {subject!r}")
            continue
        found += _walk(tree(subject), [subject, *words[1:]])
    return found


def _walk(command: Any, words: list[str]) -> list[str]:
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for place, word in enumerate(words):
        if word.startswith("-"):
            if unknown := {one.split("=")[0] for one in word.split("|")} - options - {"--help"}:
                return [f"{command.name} has no option {' '.join(sorted(unknown))}"]
        elif hasattr(command, "commands"):
            names = word.split("|")
            if unknown := [name for name in names if name not in command.commands]:
                return [f"{command.name} has no command {unknown}"]
            return [one for name in names for one in _walk(command.commands[name], words[place + 1 :])]
    return []
