"""What a person sees of a run: progress while it goes, and artifacts with stable keys when it ends.

`plan-<env>-<name>`, `timeline-<env>-<name>` and `cluster-<env>-<name>` keep their history in the UI under
`/artifacts/key/<key>`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from prefect.artifacts import create_markdown_artifact

from infraflux.core.errors import InfrafluxError
from infraflux.core.markdown import cell
from infraflux.core.spans import Span, listening
from tasks.engine.masking import masked
from tasks.engine.progress import ProgressBar, artifact_writer
from tasks.engine.retry import retry
from tasks.engine.step import log_line
from tasks.engine.timeline import Stage, cut, timeline_markdown

MARKDOWN_LIMIT = 200_000
"""Artifacts lie in the database row itself; the UI renders longer ones slowly."""


@dataclass
class Report:
    """The stages of one run, recorded as they pass."""

    cluster: str
    planned: Sequence[str]
    clock: Callable[[], float] = time.monotonic
    stages: list[Stage] = field(default_factory=list)
    spans: Sequence[Span] = ()
    """What the adapters note while the run goes; grows."""
    simulation_notice: str = ""
    """What every report of this run has to say of itself; known once the configuration is loaded."""
    show_percent: Callable[[float], None] = lambda _percent: None
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
            self._finish(name, began, "; ".join(said))
        self.show_percent(100.0 * min(len(self.stages), len(self.planned)) / max(len(self.planned), 1))

    def _finish(self, name: str, began: float, outcome: str) -> None:
        ended, zero = self.clock(), self._started
        spans = tuple(
            Span(one.kind, one.name, one.start_s - zero, one.end_s - zero)
            for one in cut(self.spans, start_s=began, end_s=ended)
        )
        self.stages.append(Stage(name, began - zero, ended - began, outcome, spans))

    def publish(self, kind: str, *, markdown: str, description: str) -> None:
        """Store an artifact of this run's cluster."""
        publish(kind, cluster=self.cluster, markdown=markdown, description=description, notice=self.simulation_notice)

    @property
    def total_s(self) -> float:
        return sum(stage.duration_s for stage in self.stages)


def artifact_key(kind: str, cluster: str) -> str:
    """`plan-dev-dev-1`; Prefect allows lower case letters, digits and dashes (pure)."""
    return f"{kind}-{cluster.replace('/', '-')}"


def facts_markdown(cluster: str, facts: Mapping[str, object], *, next_steps: Sequence[str]) -> str:
    """The cluster and what to do with it (pure)."""
    lines = [f"# {cluster}", ""]
    lines += ["| fact | value |", "|---|---|", *(f"| {key} | {cell(str(value))} |" for key, value in facts.items())]
    lines += ["", "## Next", "", "```sh", *next_steps, "```"]
    return "\n".join(lines)


def with_notice(markdown: str, notice: str) -> str:
    """The report with what of it is simulated right below its heading, or on top where it has none (pure)."""
    if not notice:
        return markdown
    head, _, rest = markdown.partition("\n") if markdown.startswith("# ") else ("", "", markdown)
    return "\n\n".join(part for part in (head, f"> **{notice}**", rest.lstrip()) if part)


def publish(kind: str, *, cluster: str, markdown: str, description: str, notice: str = "") -> None:
    """Store an artifact, masked, with its notice, and cut where it is longer than a person reads."""
    text = with_notice(masked(markdown), notice)
    if len(text) > MARKDOWN_LIMIT:
        text = text[:MARKDOWN_LIMIT] + "\n\n(cut; the whole text is in the log)"
    key = artifact_key(kind, cluster)
    retry(lambda: create_markdown_artifact(key=key, markdown=text, description=description))


@contextmanager
def reporting(cluster: str, *, planned: Sequence[str]) -> Iterator[Report]:
    """Around the stages: whatever the end, the timeline is published."""
    bar = ProgressBar(artifact_writer(artifact_key("progress", cluster)))
    with listening() as spans:
        report = Report(cluster, planned, spans=spans, show_percent=bar.show)
        try:
            yield report
        finally:
            bar.close()
            if report.stages:
                text = timeline_markdown(cluster, report.stages)
                report.publish("timeline", markdown=text, description="Stages of this run against the time budget")
