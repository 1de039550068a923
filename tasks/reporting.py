"""What a person sees of a run: progress while it goes, and artifacts with stable keys when it ends.

`plan-<env>-<name>`, `timeline-<env>-<name>` and `cluster-<env>-<name>` keep their history in the UI under
`/artifacts/key/<key>`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from infraflux.config.errors import InfrafluxError
from tasks.masking import masked
from tasks.running import log_line

BUDGET_S = 15 * 60
"""A cluster has to stand within this time, in any environment."""

BAR_WIDTH = 40
MARKDOWN_LIMIT = 200_000
"""Artifacts lie in the database row itself; the UI renders longer ones slowly."""


@dataclass(frozen=True)
class Stage:
    """One finished stage."""

    name: str
    start_s: float
    """Since the start of the run."""
    duration_s: float
    outcome: str


@dataclass
class Report:
    """The stages of one run, recorded as they pass."""

    cluster: str
    planned: Sequence[str]
    clock: Callable[[], float] = time.monotonic
    stages: list[Stage] = field(default_factory=list)
    _artifact: UUID | None = None
    _started: float = 0.0

    def __post_init__(self) -> None:
        self._started = self.clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Around one stage; the outcome is what the body appends to the list it gets."""
        began = self.clock()
        said: list[str] = []
        log_line(f"── {name}")
        try:
            yield said
        except InfrafluxError as error:
            error.located(cluster=self.cluster, stage=name)
            said.append(f"failed ({error.error_class})")
            raise
        except Exception:
            said.append("failed (internal)")
            raise
        finally:
            # Also a stage that is left by suspension or cancellation has its time on the chart.
            self.stages.append(Stage(name, began - self._started, self.clock() - began, "; ".join(said)))
        self._progress()

    def _progress(self) -> None:
        percent = 100.0 * min(len(self.stages), len(self.planned)) / max(len(self.planned), 1)
        if self._artifact is None:
            self._artifact = cast(
                UUID, create_progress_artifact(progress=percent, key=artifact_key("progress", self.cluster))
            )
        else:
            update_progress_artifact(artifact_id=self._artifact, progress=percent)

    @property
    def total_s(self) -> float:
        return sum(stage.duration_s for stage in self.stages)


def artifact_key(kind: str, cluster: str) -> str:
    """`plan-dev-dev-1`; Prefect allows lower case letters, digits and dashes (pure)."""
    return f"{kind}-{cluster.replace('/', '-')}"


def bar(start_s: float, duration_s: float, *, total_s: float) -> str:
    """A stage on the time axis of the run (pure)."""
    scale = BAR_WIDTH / max(total_s, 0.001)
    before = min(round(start_s * scale), BAR_WIDTH - 1)
    width = min(max(1, round(duration_s * scale)), BAR_WIDTH - before)
    return "·" * before + "█" * width + "·" * (BAR_WIDTH - before - width)


def timeline_markdown(cluster: str, stages: Sequence[Stage], *, budget_s: float = BUDGET_S) -> str:
    """The stages against the budget (pure). They run one after another, so all of them are the critical path."""
    total = max((stage.start_s + stage.duration_s for stage in stages), default=0.0)
    longest = max(stages, key=lambda stage: stage.duration_s, default=None)
    rows = [
        f"| {stage.name} | {stage.duration_s:.1f} | `{bar(stage.start_s, stage.duration_s, total_s=total)}` "
        f"| {cell(stage.outcome)} |"
        for stage in stages
    ]
    share = 100 * total / budget_s
    verdict = "within" if total <= budget_s else "over"
    lines = [
        f"# {cluster}: {total:.1f} s, {share:.0f} % of the budget of {budget_s / 60:.0f} minutes ({verdict})",
        "",
        f"Longest stage: {longest.name}, {longest.duration_s:.1f} s." if longest else "No stage finished.",
        "",
        "| stage | seconds | time axis | outcome |",
        "|---|---:|---|---|",
        *rows,
    ]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that does not break out of a table cell (pure)."""
    return text.replace("|", "\\|").replace("\n", " ")


def facts_markdown(cluster: str, facts: Mapping[str, object], *, next_steps: Sequence[str], simulated: str = "") -> str:
    """The cluster and what to do with it (pure). `simulated` says so on the report itself."""
    lines = [f"# {cluster}", ""]
    if simulated:
        lines += [f"> **{simulated}**", ""]
    lines += ["| fact | value |", "|---|---|", *(f"| {key} | {cell(str(value))} |" for key, value in facts.items())]
    lines += ["", "## Next", "", "```sh", *next_steps, "```"]
    return "\n".join(lines)


def publish(kind: str, *, cluster: str, markdown: str, description: str) -> None:
    """Store an artifact, masked, and cut where it is longer than a person reads."""
    text = masked(markdown)
    if len(text) > MARKDOWN_LIMIT:
        text = text[:MARKDOWN_LIMIT] + "\n\n(cut; the whole text is in the log)"
    create_markdown_artifact(key=artifact_key(kind, cluster), markdown=text, description=description)


@contextmanager
def reporting(cluster: str, *, planned: Sequence[str]) -> Iterator[Report]:
    """Around the stages: whatever the end, the timeline is published."""
    report = Report(cluster, planned)
    try:
        yield report
    finally:
        if report.stages:
            publish(
                "timeline",
                cluster=cluster,
                markdown=timeline_markdown(cluster, report.stages),
                description="Stages of this run against the time budget",
            )
