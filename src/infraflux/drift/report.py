"""The report as people and programs read it: markdown per cluster, a fleet table, JSON."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from infraflux.config.models.proxmox import SIMULATED
from infraflux.core.markdown import cell
from infraflux.drift.findings import ALL_LAYERS, ClusterDrift, DriftClass, DriftVerdict, Finding, Layer, Owner

MAX_MARKDOWN_CHARS = 200_000
"""Artifacts sit in the server's database; a report that nobody scrolls through helps nobody."""
_SIGNS = {DriftVerdict.CLEAN: "✅", DriftVerdict.DRIFTED: "🟠", DriftVerdict.UNKNOWN: "❔", DriftVerdict.SKIPPED: "⏭️"}


def headline(report: ClusterDrift) -> str:
    """One line: verdict and numbers."""
    if report.skipped:
        return f"skipped: {report.skipped}"
    counts = [f"{report.count(one)} {one}" for one in reversed(DriftClass) if report.count(one)]
    ignored = sum(1 for finding in report.findings if finding.ignored_by)
    parts = (
        counts
        + ([f"{ignored} ignored"] if ignored else [])
        + ([f"{len(report.unknown)} unread"] if report.unknown else [])
    )
    only = "" if report.whole else f" (only {', '.join(report.layers)} looked at)"
    return f"{report.verdict}: {', '.join(parts) or 'nothing differs'}{only}"


def cluster_markdown(report: ClusterDrift) -> str:
    """The whole report of one cluster."""
    lines = [f"# {_SIGNS[report.verdict]} {report.cluster}: {headline(report)}", ""]
    lines.append(f"Looked at {report.at:%Y-%m-%d %H:%M:%S %Z}, commit `{report.commit[:12] or 'none'}`.")
    lines += [f"\n{cell(text)}" for text in report.evidence]
    if report.simulated:
        lines.append(f"\n**{SIMULATED}**")
    if report.unknown:
        lines += ["", "## Could not be read", ""] + [f"- {cell(text)}" for text in report.unknown]
    lines += _table("Differences", [finding for finding in report.findings if finding.counts])
    lines += _table("Expected", [one for one in report.findings if not one.counts and not one.ignored_by])
    lines += _table("Ignored by rule", [finding for finding in report.findings if finding.ignored_by])
    text = "\n".join(lines) + "\n"
    return (
        text if len(text) <= MAX_MARKDOWN_CHARS else text[:MAX_MARKDOWN_CHARS] + "\n\n(cut; the JSON has all of it)\n"
    )


def _table(title: str, findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    rows = [
        f"| {one.layer} | {cell(one.object)} | {cell(one.field)} | {cell(one.wanted)} | {cell(one.seen)} "
        f"| {one.drift_class} | {one.owner} | {cell(one.note)} |"
        for one in sorted(findings, key=lambda one: (-list(DriftClass).index(one.drift_class), one.layer, one.object))
    ]
    head = ["| layer | object | field | wanted | seen | class | owner | note |", "|---|---|---|---|---|---|---|---|"]
    return ["", f"## {title}", "", *head, *rows]


def simulation_notice(reports: Iterable[ClusterDrift]) -> str:
    """What of these reports is simulated; empty where nothing is."""
    return SIMULATED if any(report.simulated for report in reports) else ""


def fleet_rows(reports: Iterable[ClusterDrift]) -> list[dict[str, Any]]:
    """One row per cluster, for the fleet table."""
    return [
        {
            "cluster": report.cluster,
            "verdict": f"{_SIGNS[report.verdict]} {report.verdict}",
            **{str(one): report.count(one) for one in DriftClass},
            "unread": len(report.unknown),
            "simulated": "yes" if report.simulated else "no",
            "looked at": f"{report.at:%Y-%m-%d %H:%M}",
            "summary": headline(report),
        }
        for report in reports
    ]


def as_json(report: ClusterDrift) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "schema": 1,
        "cluster": report.cluster,
        "at": report.at.isoformat(),
        "commit": report.commit,
        "verdict": str(report.verdict),
        "simulated": report.simulated,
        "skipped": report.skipped,
        "layers": [str(layer) for layer in report.layers],
        "unknown": list(report.unknown),
        "evidence": list(report.evidence),
        "findings": [
            {
                "layer": str(one.layer),
                "object": one.object,
                "field": one.field,
                "wanted": one.wanted,
                "seen": one.seen,
                "class": str(one.drift_class),
                "owner": str(one.owner),
                "ignored_by": one.ignored_by,
                "note": one.note,
            }
            for one in report.findings
        ],
    }


def from_json(document: Mapping[str, Any]) -> ClusterDrift:
    """The report again; ValueError or KeyError where the document is none."""
    found = [
        Finding(
            layer=Layer(one["layer"]),
            object=one["object"],
            field=one["field"],
            wanted=one["wanted"],
            seen=one["seen"],
            drift_class=DriftClass(one["class"]),
            owner=Owner(one["owner"]),
            ignored_by=one["ignored_by"],
            note=one["note"],
        )
        for one in document["findings"]
    ]
    return ClusterDrift(
        cluster=document["cluster"],
        at=datetime.fromisoformat(document["at"]),
        commit=document["commit"],
        findings=tuple(found),
        unknown=tuple(document["unknown"]),
        evidence=tuple(document.get("evidence", ())),
        skipped=document["skipped"],
        simulated=document["simulated"],
        layers=tuple(Layer(one) for one in document.get("layers", ALL_LAYERS)),
    )


def notification(reports: Sequence[ClusterDrift]) -> str:
    """A few lines for a chat; empty where there is nothing to tell."""
    telling = [report for report in reports if report.verdict in (DriftVerdict.DRIFTED, DriftVerdict.UNKNOWN)]
    lines = [f"{_SIGNS[report.verdict]} {report.cluster}: {headline(report)}" for report in telling]
    if notice := simulation_notice(telling):
        lines.append(f"({notice})")
    return "\n".join(lines)
