"""Where the time of a run went: stages against the budget, the critical path, working against waiting. Pure.

The stages follow each other, so every one is on the path. Within a stage things run side by side; the path is found
from its end backwards: what ended last, what ended last before that began, and so on. What nothing accounts for is
InfraFlux itself: its own looks over HTTP, the orchestrator's bookkeeping.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infraflux.core.markdown import cell
from infraflux.core.spans import Kind, Span

BUDGET_S = 15 * 60
"""A cluster has to stand within this time, in any environment."""

BAR_WIDTH = 40
OURSELVES = "InfraFlux itself"
LONGEST_STEPS = 12
"""As many as a person reads; the rest is summed up."""
DRAWN_SHARE = 0.02
"""Shorter steps would be hairlines on the chart."""


@dataclass(frozen=True)
class Stage:
    """One finished stage."""

    name: str
    start_s: float
    """Since the start of the run."""
    duration_s: float
    outcome: str
    spans: tuple[Span, ...] = ()
    """What was noted meanwhile, on the same scale."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Shares:
    """Seconds of a stretch: somebody worked, else somebody waited, else it was ourselves."""

    programs_s: float = 0.0
    waiting_s: float = 0.0
    own_s: float = 0.0

    def __add__(self, other: "Shares") -> "Shares":
        return Shares(self.programs_s + other.programs_s, self.waiting_s + other.waiting_s, self.own_s + other.own_s)


@dataclass(frozen=True)
class Step:
    """One stretch of the critical path."""

    stage: str
    name: str
    kind: Kind | None
    """None: ourselves."""
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


def cut(spans: Iterable[Span], *, start_s: float, end_s: float) -> tuple[Span, ...]:
    """The parts of spans that lie within a stretch (pure)."""
    parts = (Span(one.kind, one.name, max(one.start_s, start_s), min(one.end_s, end_s)) for one in spans)
    return tuple(part for part in parts if part.end_s > part.start_s)


def union_s(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of them ran (pure)."""
    total, until = 0.0, float("-inf")
    for one in sorted(spans, key=lambda span: span.start_s):
        total += max(0.0, one.end_s - max(one.start_s, until))
        until = max(until, one.end_s)
    return total


def shares(stage: Stage) -> Shares:
    """How the time of one stage was spent (pure); side by side, working counts before waiting."""
    spans = cut(stage.spans, start_s=stage.start_s, end_s=stage.end_s)
    working = union_s(one for one in spans if one.kind is not Kind.WAIT)
    either = union_s(spans)
    return Shares(working, either - working, stage.duration_s - either)


def critical_path(stage: Stage) -> list[Step]:
    """What the end of a stage hung on, from its start to its end without a gap (pure)."""
    spans = cut(stage.spans, start_s=stage.start_s, end_s=stage.end_s)
    shells = [one for one in spans if _is_shell(one, spans)]
    inner = [one for one in spans if one not in shells]
    steps: list[Step] = []
    at = stage.end_s
    while at > stage.start_s:
        # The longest of those that ended last: it is the one that could have ended it earlier.
        before = [one for one in inner if one.end_s <= at]
        last = max(before, key=lambda one: (one.end_s, -one.start_s), default=None)
        reached = last.end_s if last else stage.start_s
        if reached < at:
            steps.append(_gap(stage, (*inner, *shells), reached, at))
        if last:
            steps.append(Step(stage.name, last.name, last.kind, last.start_s, last.end_s))
        at = last.start_s if last else stage.start_s
    return steps[::-1]


def _is_shell(one: Span, spans: Sequence[Span]) -> bool:
    """Whether it is a program that shows what it does inside: Terraform and its resources."""
    if one.kind is not Kind.PROGRAM:
        return False
    return any(
        other.kind is Kind.RESOURCE and one.start_s <= other.start_s and other.end_s <= one.end_s for other in spans
    )


def _gap(stage: Stage, spans: Sequence[Span], start_s: float, end_s: float) -> Step:
    """A stretch in which nothing ended: the first of these that ran meanwhile, else ourselves."""
    middle = (start_s + end_s) / 2
    around = [one for one in spans if one.start_s <= middle <= one.end_s]
    if around:
        return Step(stage.name, around[0].name, around[0].kind, start_s, end_s)
    return Step(stage.name, OURSELVES, None, start_s, end_s)


def longest_steps(stages: Sequence[Stage]) -> list[tuple[str, str, float]]:
    """Stage, what, seconds on the critical path, the longest first (pure); one name counts once per stage."""
    summed: dict[tuple[str, str], float] = {}
    for step in (step for stage in stages for step in critical_path(stage)):
        key = (step.stage, step.name)
        summed[key] = summed.get(key, 0.0) + step.seconds
    ranked = sorted(summed.items(), key=lambda item: -item[1])
    return [(stage, name, seconds) for (stage, name), seconds in ranked]


def bar(done_s: float, *, total_s: float) -> str:
    """How much of the budget is used (pure)."""
    width = min(BAR_WIDTH, max(1, round(BAR_WIDTH * done_s / max(total_s, 0.001))))
    return "█" * width + "·" * (BAR_WIDTH - width)


def gantt(stages: Sequence[Stage]) -> list[str]:
    """The stages and the longer steps of their critical paths as a Mermaid chart, which the Prefect UI draws (pure)."""
    total = max((stage.end_s for stage in stages), default=0.0)
    lines = ["```mermaid", "gantt", "dateFormat x", "axisFormat %M:%S"]
    for number, stage in enumerate(stages):
        lines += [f"section {_plain(stage.name)}", _task(f"{stage.name} {stage.duration_s:.1f} s", "active", stage)]
        for place, step in enumerate(critical_path(stage)):
            if step.kind is not None and step.seconds >= DRAWN_SHARE * total:
                tag = "done" if step.kind is Kind.WAIT else "crit"
                lines.append(_task(f"{step.name} {step.seconds:.1f} s", f"{tag}, s{number}x{place}", step))
    return [*lines, "```"]


def _task(text: str, tags: str, stretch: Stage | Step) -> str:
    # A bar without a width is drawn as an error.
    start, end = round(stretch.start_s * 1000), round(stretch.end_s * 1000)
    return f"{_plain(text)} :{tags}, {start}, {max(end, start + 1)}"


def _plain(text: str) -> str:
    """Text without what Mermaid takes for syntax (pure)."""
    return "".join(letter if letter.isalnum() or letter in " ._-/()'[]" else " " for letter in text).strip()


def timeline_markdown(cluster: str, stages: Sequence[Stage], *, budget_s: float = BUDGET_S) -> str:
    """The whole report (pure)."""
    total = max((stage.end_s for stage in stages), default=0.0)
    verdict = "within" if total <= budget_s else "over"
    used = 100 * total / budget_s
    return "\n".join(
        [
            f"# {cluster}: {total:.1f} s, {used:.0f} % of the budget of {budget_s / 60:.0f} minutes ({verdict})",
            "",
            f"`{bar(total, total_s=budget_s)}`",
            "",
            _how_spent(stages, total),
            "",
            *(gantt(stages) if stages else ["No stage finished."]),
            "",
            "Outlined: the stage. Red: a program on its critical path. Grey: a wait on it.",
            *_path_table(stages, total),
            *_stage_table(stages),
        ]
    )


def _how_spent(stages: Sequence[Stage], total: float) -> str:
    spent = sum((shares(stage) for stage in stages), Shares())
    # Between two stages is Prefect's and our own bookkeeping.
    own = max(0.0, total - spent.programs_s - spent.waiting_s)
    parts = (
        (spent.programs_s, "outside programs worked"),
        (spent.waiting_s, "waiting for machines and controllers"),
        (own, OURSELVES),
    )
    return "; ".join(f"{seconds:.1f} s ({_percent(seconds, total)}) {what}" for seconds, what in parts) + "."


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _path_table(stages: Sequence[Stage], total: float) -> list[str]:
    steps = longest_steps(stages)
    shown, rest = steps[:LONGEST_STEPS], steps[LONGEST_STEPS:]
    lines = ["", "## Critical path", "", "| stage | what its end hung on | seconds | share |", "|---|---|---:|---:|"]
    lines += [
        f"| {cell(stage)} | {cell(name)} | {seconds:.1f} | {_percent(seconds, total)} |"
        for stage, name, seconds in shown
    ]
    left = sum(seconds for _, _, seconds in rest)
    return [*lines, *([f"| | {len(rest)} shorter ones | {left:.1f} | {_percent(left, total)} |"] if rest else [])]


def _stage_table(stages: Sequence[Stage]) -> list[str]:
    lines = ["", "## Stages", "", f"| stage | seconds | programs | waiting | {OURSELVES} | outcome |"]
    lines.append("|---|---:|---:|---:|---:|---|")
    for stage in stages:
        spent = shares(stage)
        lines.append(
            f"| {cell(stage.name)} | {stage.duration_s:.1f} | {spent.programs_s:.1f} | {spent.waiting_s:.1f} "
            f"| {spent.own_s:.1f} | {cell(stage.outcome)} |"
        )
    return lines
