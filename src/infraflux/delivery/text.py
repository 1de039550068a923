"""Promotions in words: Markdown for artifacts and approvals. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from infraflux.core.markdown import cell
from infraflux.core.outcomes import Noop
from infraflux.delivery.pipeline import Deploy, Pin, Refused, Step, Wait
from infraflux.delivery.promotion import Gate, GateState
from infraflux.delivery.release import ReleaseChange, Reversible

MARKS = {GateState.PASS: "✓", GateState.WAIT: "…", GateState.REFUSE: "✗"}


@dataclass(frozen=True, kw_only=True)
class PipelineStage:
    """One environment of the pipeline."""

    environment: str
    source: str | None
    pins: str
    """The release it pins; empty where it follows the checkout."""
    verified: Mapping[str, str]
    """The release each cluster is verified with, by cluster key; empty where none."""
    candidate: str
    """What would come next."""
    step: Step
    gates: tuple[Gate, ...] = field(default=())
    hold: str = ""
    last: str = ""
    """The last promotion and where it stands."""

    @property
    def verified_text(self) -> str:
        """`staging-1: r1, staging-2: -`"""
        named = [f"{key.partition('/')[2]}: {name or '-'}" for key, name in self.verified.items()]
        return ", ".join(named) or "no cluster"

    @property
    def next(self) -> str:
        """What happens next, and when, in one line."""
        return describe(self.step)


def describe(step: Step) -> str:
    """A step in one line."""
    match step:
        case Noop(reason):
            return reason
        case Wait(gate, reason, opens_at):
            return f"waits ({gate}): {reason}{_when(opens_at)}"
        case Refused(gate, reason):
            return f"refused ({gate}): {reason}"
        case Pin():
            return "every gate is open"
        case Deploy(clusters=clusters):
            return f"pinned, to be deployed: {', '.join(clusters)}"


def _when(opens_at: datetime | None) -> str:
    return f"; opens {opens_at:%Y-%m-%d %H:%M %Z}" if opens_at else ""


def pipeline_markdown(stages: Sequence[PipelineStage]) -> str:
    """The whole pipeline: a line of environments, a table, and the gates of each."""
    picture = " → ".join(f"**{one.environment}** ({one.pins or 'follows the checkout'})" for one in stages)
    rows = [
        f"| {one.environment} | {one.pins or '-'} | {one.verified_text} | {one.candidate or '-'} | {cell(one.next)} |"
        for one in stages
    ]
    lines = [picture, "", "| environment | pins | verified | candidate | next |", "|---|---|---|---|---|", *rows]
    for one in stages:
        if one.hold or one.last:
            lines += ["", f"{one.environment}: {'; '.join(text for text in (one.last, one.hold) if text)}"]
        if one.gates:
            lines += ["", f"### Gates of {one.environment} for {one.candidate}", "", *gate_rows(one.gates)]
    return "\n".join(lines)


def gate_rows(gates: Sequence[Gate]) -> list[str]:
    """Gates as a Markdown table."""
    rows = [f"| {MARKS[gate.state]} {gate.state} | {gate.name} | {cell(gate.reason)} |" for gate in gates]
    return ["| | gate | reason |", "|---|---|---|", *rows]


def change_rows(changes: Sequence[ReleaseChange]) -> list[str]:
    """What differs, and whether it can be undone, as a Markdown table."""
    if not changes:
        return ["No difference to a former release: this is the first one pinned here."]
    rows = [f"| {one.path} | {_short(one.before)} | {_short(one.after)} | {_undo(one)} |" for one in changes]
    return ["| what | before | after | can be undone |", "|---|---|---|---|", *rows]


def _undo(change: ReleaseChange) -> str:
    text = f"{change.reversible}: {cell(change.why)}"
    return text if change.reversible is Reversible.YES else f"**{text}**"


def _short(value: str) -> str:
    is_id = len(value) >= 40 and all(letter in "0123456789abcdef" for letter in value)
    return cell(value[:12] if is_id else value)
