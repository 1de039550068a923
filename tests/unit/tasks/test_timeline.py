"""The timeline says what a run's end hung on; every figure in it follows from stages and spans alone."""

from itertools import pairwise

import pytest

from infraflux.core.spans import Kind, Span
from tasks.engine.timeline import (
    OURSELVES,
    Shares,
    Stage,
    bar,
    critical_path,
    gantt,
    longest_steps,
    shares,
    timeline_markdown,
)


def program(name: str, start: float, end: float) -> Span:
    return Span(Kind.PROGRAM, name, start, end)


def resource(name: str, start: float, end: float) -> Span:
    return Span(Kind.RESOURCE, name, start, end)


def wait(name: str, start: float, end: float) -> Span:
    return Span(Kind.WAIT, name, start, end)


def stage(*spans: Span, start: float = 0.0, seconds: float = 10.0, name: str = "join") -> Stage:
    return Stage(name, start, seconds, "ok", spans)


CASES = {
    "nothing noted": (stage(), Shares(0, 0, 10), [(OURSELVES, 10)]),
    "one program": (
        stage(program("helm upgrade", 1, 8)),
        Shares(7, 0, 3),
        [(OURSELVES, 1), ("helm upgrade", 7), (OURSELVES, 2)],
    ),
    "program, then a wait": (
        stage(program("talosctl bootstrap", 0, 2), wait("etcd", 2, 10)),
        Shares(2, 8, 0),
        [("talosctl bootstrap", 2), ("etcd", 8)],
    ),
    "side by side, the last one counts": (
        stage(wait("w1", 0, 6), wait("w2", 0, 9), program("w1 again", 6, 8)),
        Shares(2, 7, 1),
        [("w2", 9), (OURSELVES, 1)],
    ),
    "working counts before waiting": (
        stage(wait("w1", 0, 10), program("talosctl", 2, 5)),
        Shares(3, 7, 0),
        [("w1", 10)],
    ),
    "two that follow each other beat a short one beside them": (
        stage(program("a", 0, 5), program("b", 5, 10), program("c", 1, 3)),
        Shares(10, 0, 0),
        [("a", 5), ("b", 5)],
    ),
    "terraform shows its resources": (
        stage(
            program("terraform apply", 0, 10), resource("vm 1", 2, 6), resource("vm 2", 2, 4), resource("rule", 7, 9)
        ),
        Shares(10, 0, 0),
        [("terraform apply", 2), ("vm 1", 4), ("terraform apply", 1), ("rule", 2), ("terraform apply", 1)],
    ),
    "a program that ran on after the next began": (
        stage(program("a", 0, 6), program("b", 5, 10)),
        Shares(10, 0, 0),
        [("a", 5), ("b", 5)],
    ),
    "what began before or ended after is cut": (
        stage(program("a", -5, 3), wait("b", 3, 99)),
        Shares(3, 7, 0),
        [("a", 3), ("b", 7)],
    ),
}


@pytest.mark.parametrize(("given", "spent", "path"), CASES.values(), ids=CASES.keys())
def test_shares_and_critical_path(given: Stage, spent: Shares, path: list[tuple[str, float]]):
    assert shares(given) == spent
    assert [(step.name, step.seconds) for step in critical_path(given)] == path


@pytest.mark.parametrize("given", [case[0] for case in CASES.values()], ids=CASES.keys())
def test_the_path_has_no_gap_and_no_overlap(given: Stage):
    steps = critical_path(given)
    assert steps[0].start_s == given.start_s
    assert steps[-1].end_s == given.end_s
    assert all(one.end_s == other.start_s for one, other in pairwise(steps))


RUN = [
    Stage("plan", 0.0, 10.0, "2 to add", (program("terraform plan", 1.0, 9.0),)),
    Stage("apply", 10.0, 30.0, "done | all", (program("terraform apply", 10.0, 40.0), resource('vm["a"]', 11.0, 39.0))),
    Stage("join", 41.0, 19.0, "", (wait("cp-2 to run", 41.0, 59.0),)),
]


def test_the_longest_steps_come_first_and_are_summed_by_name():
    twice = stage(program("a", 0, 2), wait("b", 2, 3), program("a", 3, 7), seconds=7)
    assert longest_steps([twice]) == [("join", "a", 6), ("join", "b", 1)]


def test_the_report_names_budget_shares_path_and_stages():
    text = timeline_markdown("dev/dev-1", RUN)
    assert text.startswith("# dev/dev-1: 60.0 s, 7 % of the budget of 15 minutes (within)")
    assert "38.0 s (63 %) outside programs worked; 18.0 s (30 %) waiting" in text
    assert "4.0 s (7 %) InfraFlux itself." in text, "the second between two stages is ours too"
    assert '| apply | vm["a"] | 28.0 | 47 % |' in text
    assert "| join | 19.0 | 0.0 | 18.0 | 1.0 |  |" in text
    assert "done \\| all" in text


@pytest.mark.parametrize(
    ("total", "verdict"), [(0.0, "(within)"), (900.0, "100 % of the budget of 15 minutes (within)"), (1800.0, "(over)")]
)
def test_the_budget_is_judged(total: float, verdict: str):
    assert verdict in timeline_markdown("dev/dev-1", [Stage("x", 0.0, total, "")]).splitlines()[0]


def test_a_run_that_finished_no_stage_has_a_report():
    assert "No stage finished." in timeline_markdown("dev/dev-1", [])


@pytest.mark.parametrize(("done", "filled"), [(0, 1), (450, 20), (900, 40), (5000, 40)])
def test_the_bar_is_the_budget(done: float, filled: int):
    text = bar(done, total_s=900)
    assert (len(text), text.count("█")) == (40, filled)


def test_the_chart_has_nothing_that_mermaid_takes_for_syntax():
    lines = gantt([stage(program("odd: name; #1, `x`", 0, 10), name="a:b")])
    tasks = [line for line in lines if " :" in line]
    assert [line.count(":") for line in tasks] == [1, 1]
    assert tasks[1].startswith("odd  name   1   x  10.0 s :crit, s0x0, 0, 10000")
    assert lines[-1] == "```"


def test_a_stage_that_took_no_time_is_still_a_bar():
    assert "load 0.0 s :active, 0, 1" in gantt([Stage("load", 0.0, 0.0, "")])
