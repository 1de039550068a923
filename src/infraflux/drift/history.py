"""The last checks of a cluster, for a trend that shows whether drift comes back."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import Field

from infraflux.config.models.base import Section
from infraflux.drift.findings import ClusterDrift, DriftClass, DriftVerdict

SHOWN = 14
"""Two weeks of nights."""
_BARS = "▁▂▃▄▅▆▇█"


class Look(Section):
    """One check, in numbers."""

    cluster: str
    at: datetime
    verdict: DriftVerdict
    commit: str = ""
    counts: dict[str, int] = Field(default_factory=dict)
    """Findings that no rule ignores, by class."""
    unread: int = 0

    @property
    def drifted(self) -> int:
        """Findings that make the cluster drifted."""
        return sum(number for name, number in self.counts.items() if name != DriftClass.EXPECTED)


def look_of(report: ClusterDrift) -> Look:
    """The numbers of a report."""
    counts = {str(one): number for one in DriftClass if (number := report.count(one))}
    return Look(
        cluster=report.cluster,
        at=report.at,
        verdict=report.verdict,
        commit=report.commit,
        counts=counts,
        unread=len(report.unknown),
    )


def last_of(looks: Iterable[Look], cluster: str) -> list[Look]:
    """The newest looks at one cluster, oldest first."""
    return [look for look in looks if look.cluster == cluster][-SHOWN:]


def sparkline(looks: Sequence[Look]) -> str:
    """One sign per look: `?` unknown, `-` skipped, else a bar as high as the findings."""
    top = max((look.drifted for look in looks), default=0)
    return "".join(_sign(look, top) for look in looks)


def _sign(look: Look, top: int) -> str:
    if look.verdict is DriftVerdict.UNKNOWN:
        return "?"
    if look.verdict is DriftVerdict.SKIPPED:
        return "-"
    return _BARS[round((len(_BARS) - 1) * look.drifted / top)] if top else _BARS[0]


def trend_markdown(looks: Sequence[Look]) -> str:
    """The last looks as a chart, which Prefect's UI draws, over a table; the sparkline is for where nothing draws."""
    return "\n".join(["", f"## Last {len(looks)} looks", "", *_chart(looks), "", *_table(looks)]) + "\n"


def looks_markdown(looks: Sequence[Look]) -> str:
    """The same for a terminal: without the chart."""
    return "\n".join([f"## Last {len(looks)} looks", "", *_table(looks)]) + "\n"


def _table(looks: Sequence[Look]) -> list[str]:
    lines = [f"`{sparkline(looks)}`", ""]
    lines += ["| at | verdict | findings | unread | commit |", "|---|---|---|---|---|"]
    for look in reversed(looks):
        found = ", ".join(f"{number} {name}" for name, number in look.counts.items()) or "none"
        when = f"{look.at:%Y-%m-%d %H:%M}"
        lines.append(f"| {when} | {look.verdict} | {found} | {look.unread} | `{look.commit[:12] or 'none'}` |")
    return lines


def _chart(looks: Sequence[Look]) -> list[str]:
    """Bars of what differed, a line of what could not be read; nothing where one look makes no trend."""
    if len(looks) < 2:
        return []
    days = ", ".join(f'"{look.at:%d.%m. %H:%M}"' for look in looks)
    top = max(1, *(max(look.drifted, look.unread) for look in looks))
    return [
        "```mermaid",
        "xychart-beta",
        '    title "Differences (bars) and what could not be read (line)"',
        f"    x-axis [{days}]",
        f'    y-axis "number" 0 --> {top}',
        f"    bar [{', '.join(str(look.drifted) for look in looks)}]",
        f"    line [{', '.join(str(look.unread) for look in looks)}]",
        "```",
    ]
