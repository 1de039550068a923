"""A merged tree -> a ClusterSpec, or every mistake in it with its file and line."""

import json
from dataclasses import dataclass

from pydantic import ValidationError

from infraflux.config.models import ClusterSpec
from infraflux.config.problems import Problem
from infraflux.config.translate import translate
from infraflux.config.tree import Value, plain


@dataclass(frozen=True)
class Judged:
    """One cluster after validation; `spec` is None where it cannot be used."""

    tree: Value
    spec: ClusterSpec | None
    problems: tuple[Problem, ...]


def judge(tree: Value) -> Judged:
    """Types, then the checks that need no other cluster."""
    document = json.dumps(plain(tree))
    try:
        # JSON mode with strict types: lists become tuples and text becomes an address, yet "4" is no number and
        # "off" is no boolean.
        spec = ClusterSpec.model_validate_json(document, strict=True)
    except ValidationError as error:
        return Judged(tree, None, tuple(translate(error, tree)))
    return Judged(tree, spec, ())
