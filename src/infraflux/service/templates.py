"""What `prefect.yaml` and `deployments/work-pool.yaml` say once for every environment, written out for each (pure).

An entry that names `<environment>` stands once per environment, one that names `<source>` or `<minute>` only where its
releases come from another environment. Prefect refuses names with `<`, so an entry that was not written out cannot be
registered by accident.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infraflux.config.environments import Environment

PLACES = ("<environment>", "<cluster>", "<source>", "<minute>")
APART_MIN = 10
"""Minutes between the hourly looks of two environments."""
FIRST_MIN = 7
"""Off the full hour, when everybody's jobs start."""


def written_out(entries: Sequence[Any], environments: Sequence[Environment]) -> list[Any]:
    """The entries for these environments, which come in the order of promotion."""
    return [one for entry in entries for one in _of_each(entry, environments)]


def _of_each(entry: Any, environments: Sequence[Environment]) -> Iterator[Any]:
    if not any(place in str(entry) for place in PLACES):
        yield entry
        return
    for position, environment in enumerate(environments):
        words = _words(environment, position)
        if all(place in words for place in ("<source>", "<minute>") if place in str(entry)):
            yield _filled(entry, words)


def _words(environment: Environment, position: int) -> dict[str, str]:
    words = {"<environment>": environment.name}
    if environment.clusters:
        words["<cluster>"] = environment.clusters[0]
    if environment.source is not None:
        words["<source>"] = environment.source
        words["<minute>"] = str((FIRST_MIN + APART_MIN * (position - 1)) % 60)
    return words


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """The value with its places filled; a key is left out where there is nothing for it, a cluster most of all."""
    if isinstance(value, Mapping):
        return {key: _filled(child, words) for key, child in value.items() if not _empty(child, words)}
    if isinstance(value, list):
        return [_filled(child, words) for child in value]
    if isinstance(value, str):
        for place, word in words.items():
            value = value.replace(place, word)
    return value


def _empty(value: Any, words: Mapping[str, str]) -> bool:
    return isinstance(value, str) and value in PLACES and value not in words
