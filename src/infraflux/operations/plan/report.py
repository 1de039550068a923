"""A plan for people: a table of actions grouped by node, disruption in words first, details folded. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infraflux.config.models.policy import Disruption
from infraflux.core.markdown import cell, code
from infraflux.operations.plan.actions import Action, ClusterPlan

MAX_MARKDOWN = 20_000
"""Characters: an approval form is read by a person, and the table is kept in a database."""
CLUSTER = "cluster"
"""The group of what belongs to no node."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    group: str
    """The node, `cluster`, or what the environment's clusters share."""
    disruption: Disruption
    kind: str
    object: str
    change: str
    why: str
    reversible: bool
    details: tuple[str, ...]


def rows(plan: ClusterPlan) -> list[Row]:
    """Every action, grouped by node in the order in which each group is first touched."""
    groups: dict[str, list[Row]] = {}
    for action in plan.actions:
        groups.setdefault(_group(action), []).append(_row(action))
    return [row for found in groups.values() for row in found]


def _group(action: Action) -> str:
    return action.node or ("shared" if action.kind == "shared" else CLUSTER)


def _row(action: Action) -> Row:
    return Row(
        group=_group(action),
        disruption=action.disruption,
        kind=action.kind,
        object=action.object,
        change=action.change,
        why=action.why,
        reversible=action.reversible,
        details=tuple(str(field) for field in action.fields),
    )


def headline(plan: ClusterPlan) -> str:
    """The first line: what it disturbs, before how much it is."""
    if plan.empty:
        return "No changes."
    worst = plan.disruption
    touched = sorted({one.node or one.object for one in plan.actions if one.disruption is worst})
    disturbs = "Disturbs nothing that runs" if worst is Disruption.NONE else f"Worst disruption: {worst.words}"
    where = f" ({', '.join(touched)})" if worst is not Disruption.NONE else ""
    once = sum(not one.reversible for one in plan.actions)
    undo = f" {once} of them cannot be undone by deploying the former configuration." if once else ""
    return f"{disturbs}{where}. {len(plan.actions)} change{'' if len(plan.actions) == 1 else 's'}.{undo}"


def text(plan: ClusterPlan) -> Iterator[str]:
    """The plan as lines for a log or a terminal without tables, field by field."""
    yield headline(plan)
    group = ""
    for row in rows(plan):
        if row.group != group:
            group = row.group
            yield f"{group}:"
        what = "" if row.object == row.group else f"{row.object}: "
        disturbs = "" if row.disruption is Disruption.NONE else f"  [{row.disruption.words}]"
        yield f"  {what}{row.change}{disturbs}  ({row.why})"
        yield from (f"      {line}" for line in row.details)
    yield from (f"later: {line}" for line in plan.later)
    yield from (f"from Git, by Argo CD: {one.component}: {one.change}" for one in plan.from_git)


def markdown(plan: ClusterPlan) -> str:
    """The plan for an approval or an artifact; cut where it is longer than a person reads."""
    text = "\n".join(_lines(plan))
    return text if len(text) <= MAX_MARKDOWN else f"{text[:MAX_MARKDOWN]}\n\n... cut: {plan}"


def _lines(plan: ClusterPlan) -> Iterator[str]:
    yield headline(plan)
    found = rows(plan)
    if found:
        yield from ("", "| disruption | where | what | change | why |", "|---|---|---|---|---|")
        for row in found:
            what = row.object if row.object != row.group else row.kind
            cells = (row.disruption.words, row.group, what, row.change, row.why)
            yield f"| {' | '.join(cell(one) for one in cells)} |"
        yield from _details(found)
    yield from _list("Decided later", plan.later)
    yield from _list(
        "Argo CD will change, once it sees the commit", [f"{one.component}: {one.change}" for one in plan.from_git]
    )
    yield from (f"\n> {warning}" for warning in plan.warnings)


def _details(found: Sequence[Row]) -> Iterator[str]:
    for row in found:
        if row.details:
            yield from ("", f"<details><summary>{row.group}: {row.kind}, field by field</summary>", "")
            yield from (f"- {code(line)}" for line in row.details)
            yield from ("", "</details>")


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"**{title}**", "", *(f"- {line}" for line in lines))
