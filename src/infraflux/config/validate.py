"""A merged tree -> a ClusterSpec, or every mistake in it with its file and line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infraflux.config.checks import Finding, run_checks
from infraflux.config.checks.finding import Subject
from infraflux.config.models import ClusterSpec
from infraflux.config.problems import Problem, dotted
from infraflux.config.scalars import with_marks
from infraflux.config.translate import misspelt_sections, problem_at, translate
from infraflux.config.tree import Value, plain


@dataclass(frozen=True)
class Judged:
    """One cluster after validation; `spec` is None where its types are wrong."""

    tree: Value
    spec: ClusterSpec | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    """What works and is perhaps not meant."""

    def blame(self, finding: Finding) -> "Judged":
        """The same cluster with one more mistake."""
        return replace(self, problems=(*self.problems, located(finding, self.tree)))


def judge(tree: Value, *, root: Path) -> Judged:
    """Types, then the checks that need no other cluster."""
    document = with_marks(plain(tree))
    try:
        # JSON mode with strict types: lists become tuples and text becomes an address, yet "4" is no number and
        # "off" is no boolean.
        spec = ClusterSpec.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        return Judged(tree, None, tuple(_all_problems(error, document, tree, root)))
    found = list(run_checks(Subject(spec, root), valid=ClusterSpec.model_fields))
    wrong = tuple(located(finding, tree) for finding in found if not finding.warning)
    return Judged(tree, spec, wrong, tuple(located(finding, tree) for finding in found if finding.warning))


def located(finding: Finding, tree: Value) -> Problem:
    """A finding at the line of the value it blames, or where it says."""
    if finding.at is not None:
        return Problem(*finding.at, dotted(finding.path), finding.wrong, finding.right)
    return problem_at(tree, finding.path, finding.wrong, finding.right)


def _all_problems(error: ValidationError, document: dict[str, Any], tree: Value, root: Path) -> Iterator[Problem]:
    """The type errors, and what the checks say about the sections that have none."""
    typed = list(translate(error, tree))
    yield from typed
    unsure = misspelt_sections(error)
    sections = {name: value for name, value in _valid_sections(document) if name not in unsure}
    subject = Subject(ClusterSpec.model_construct(**sections), root)
    found = [finding for finding in run_checks(subject, valid=sections) if not finding.warning]
    yield from (located(finding, tree) for finding in found)
    if not typed and not found:  # a model's own rule that no check explains better
        yield Problem(tree.file, tree.line, "", error.errors()[0]["msg"].removeprefix("Value error, "))


def _valid_sections(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, info in ClusterSpec.model_fields.items():
        try:
            if name in document:
                yield name, _section(name).validate_json(json.dumps(document[name]), strict=True)
            elif not info.is_required():
                yield name, info.get_default(call_default_factory=True)
        except ValidationError:
            continue


@cache
def _section(name: str) -> TypeAdapter[Any]:
    info = ClusterSpec.model_fields[name]
    return TypeAdapter(info.rebuild_annotation())
