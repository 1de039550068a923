"""The verdict never takes a half look for clean; ignore rules expire; repairs stay inside the policy."""

from datetime import UTC, date, datetime, timedelta

import pytest

from infraflux.config.models.policy import DriftFix, DriftIgnore
from infraflux.config.models.proxmox import SIMULATED
from infraflux.core.outcomes import Noop
from infraflux.drift.findings import (
    ClusterDrift,
    DriftClass,
    DriftVerdict,
    Finding,
    Layer,
    Owner,
    apply_ignores,
    decide_fix,
)
from infraflux.drift.history import look_of, trend_markdown
from infraflux.drift.report import as_json, cluster_markdown, fleet_rows, from_json, headline, simulation_notice

NOW = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
TODAY = NOW.date()


def finding(drift_class: DriftClass = DriftClass.REPAIRABLE, **changes) -> Finding:
    fields = {
        "layer": Layer.MACHINES,
        "object": "dev-1-worker-1",
        "field": "cpu.cores",
        "wanted": "2",
        "seen": "8",
        "owner": Owner.TERRAFORM,
    }
    return Finding(**(fields | {"drift_class": drift_class} | changes))


def report(*findings: Finding, **changes) -> ClusterDrift:
    return ClusterDrift(**({"cluster": "dev/dev-1", "at": NOW, "commit": "c1", "findings": findings} | changes))


VERDICTS = {
    "nothing": (report(), DriftVerdict.CLEAN),
    "a difference": (report(finding()), DriftVerdict.DRIFTED),
    "only what is expected": (report(finding(DriftClass.EXPECTED)), DriftVerdict.CLEAN),
    "only what is ignored": (report(finding(ignored_by="rule")), DriftVerdict.CLEAN),
    "an endpoint down": (report(unknown=("proxmox: refused",)), DriftVerdict.UNKNOWN),
    "a difference and an endpoint down": (report(finding(), unknown=("talos: refused",)), DriftVerdict.UNKNOWN),
    "held by a deploy": (report(skipped="deploy-dev-dev-1 holds it"), DriftVerdict.SKIPPED),
}


@pytest.mark.parametrize(("found", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdict(found: ClusterDrift, verdict: DriftVerdict):
    assert found.verdict is verdict
    assert headline(found)
    assert as_json(found)["verdict"] == verdict


def rule(**changes) -> DriftIgnore:
    fields = {
        "name": "known",
        "layer": "machines",
        "object": "dev-1-worker-*",
        "field": "cpu.*",
        "owner": "anna",
        "reason": "load test",
        "expires": date(2026, 12, 1),
    }
    return DriftIgnore(**(fields | changes))


RULES = {
    "in force": (rule(), True),
    "last day": (rule(expires=TODAY + timedelta(days=1)), True),
    "day from which it is reported again": (rule(expires=TODAY), False),
    "expired": (rule(expires=date(2026, 11, 22)), False),
    "other layer": (rule(layer="talos"), False),
    "any layer": (rule(layer="*"), True),
    "other object": (rule(object="dev-1-cp-*"), False),
    "other field": (rule(field="memory"), False),
}


@pytest.mark.parametrize(("one", "ignored"), RULES.values(), ids=RULES.keys())
def test_ignore_rules(one: DriftIgnore, ignored: bool):
    [found] = apply_ignores([finding()], [one], today=TODAY).findings
    assert bool(found.ignored_by) is ignored


def test_an_expired_rule_is_said():
    result = apply_ignores([finding()], [rule(expires=date(2026, 11, 1))], today=TODAY)
    assert result.expired == ("known",)
    assert result.findings[0].note == "the ignore rule known expired on 2026-11-01"


REFUSED = {
    "unknown": (report(finding(), unknown=("x",)), DriftFix.REPAIRABLE, "c1", "half a look"),
    "skipped": (report(skipped="busy"), DriftFix.REPAIRABLE, "c1", "half a look"),
    "other commit": (report(finding()), DriftFix.REPAIRABLE, "c2", "the report is of commit c1"),
    "no commit": (report(finding(), commit=""), DriftFix.REPAIRABLE, "", "none"),
    "clean": (report(), DriftFix.REPAIRABLE, "c1", "has no drift"),
    "dangerous": (report(finding(DriftClass.DANGEROUS)), DriftFix.REPAIRABLE, "c1", "is dangerous"),
    "policy none": (report(finding(DriftClass.HARMLESS)), DriftFix.NONE, "c1", "policy.drift.fix is none"),
    "policy harmless": (report(finding()), DriftFix.HARMLESS, "c1", "does not cover 1"),
    "one layer": (report(finding(), layers=(Layer.TALOS,)), DriftFix.REPAIRABLE, "c1", "looked at in talos only"),
    "last week": (report(finding(), at=NOW - timedelta(days=7)), DriftFix.REPAIRABLE, "c1", "look again first"),
}


@pytest.mark.parametrize(("found", "policy", "commit", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_repairs_that_are_refused_say_why(found: ClusterDrift, policy: DriftFix, commit: str, words: str):
    answer = decide_fix(found, policy=policy, commit=commit, now=NOW + timedelta(hours=1))
    assert isinstance(answer, Noop)
    assert words in answer.reason


def test_repairs_leave_expected_and_ignored_findings_alone():
    repair = finding(DriftClass.HARMLESS)
    found = report(repair, finding(DriftClass.EXPECTED), finding(DriftClass.DANGEROUS, ignored_by="rule"))
    assert decide_fix(found, policy=DriftFix.HARMLESS, commit="c1", now=NOW) == (repair,)


def test_markdown_shows_the_worst_first_and_escapes_cells():
    text = cluster_markdown(report(finding(seen="a|b\nc"), finding(DriftClass.DANGEROUS, object="cp"), simulated=True))
    rows = [line for line in text.splitlines() if line.startswith("| machines")]
    assert "cp" in rows[0]
    assert "a\\|b c" in rows[1]
    assert SIMULATED in text


def test_fleet_table_has_a_row_per_cluster():
    rows = fleet_rows([report(), report(finding(), cluster="prod/prod-1")])
    assert [(row["cluster"], row["repairable"]) for row in rows] == [("dev/dev-1", 0), ("prod/prod-1", 1)]


def test_the_fleet_table_says_which_clusters_are_simulated():
    real, lab = report(), report(cluster="prod/prod-1", simulated=True)
    assert [row["simulated"] for row in fleet_rows([real, lab])] == ["no", "yes"]
    assert [simulation_notice(some) for some in ([real], [real, lab])] == ["", SIMULATED]


def test_a_look_at_one_layer_says_so_everywhere_and_survives_as_json():
    found = report(finding(), layers=(Layer.MACHINES, Layer.TALOS))
    assert "only machines, talos looked at" in headline(found)
    assert from_json(as_json(found)) == found
    assert not found.whole


def test_the_trend_is_a_chart_over_a_table_and_one_look_makes_no_trend():
    looks = [look_of(report(at=NOW)), look_of(report(finding(), unknown=("x",), at=NOW + timedelta(days=1)))]
    text = trend_markdown(looks)
    assert text.splitlines()[3:5] == ["```mermaid", "xychart-beta"]
    assert "    bar [0, 1]" in text
    assert "    line [0, 1]" in text
    assert [line[:18] for line in text.splitlines() if line.startswith("| 2026")] == [
        "| 2026-11-24 02:15",
        "| 2026-11-23 02:15",
    ]
    assert "mermaid" not in trend_markdown(looks[:1])
