"""Adapters note where the time went, for whoever listens."""

import sys
import threading
from pathlib import Path

import pytest
from fakes.clock import FakeClock

from infraflux.core import process
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.spans import Kind, Span, listening, note, program_name, span

TF = ["/opt/terraform", "-chdir=/w", "apply", "-input=false", "plan.tfplan"]


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (TF, "terraform apply"),
        (
            ["/x/talosctl", "bootstrap", "--nodes", "10.0.0.11", "--endpoints", "10.0.0.11"],
            "talosctl bootstrap 10.0.0.11",
        ),
        (["talosctl", "gen", "config", "dev-1"], "talosctl gen"),
        (["helm", "upgrade", "cilium", "--kubeconfig", "/k"], "helm upgrade"),
        (["kubectl"], "kubectl"),
        (["tar", "-xf", "/a"], "tar"),
    ],
)
def test_a_program_is_named_without_its_values(argv: list[str], name: str):
    assert program_name(argv) == name


def test_nothing_is_kept_where_nobody_listens():
    with listening() as heard:
        pass
    note(Kind.PROGRAM, "x", start_s=0, end_s=1)
    assert heard == []


def test_every_listener_hears_every_thread():
    with listening() as outer, listening() as inner:
        thread = threading.Thread(target=lambda: note(Kind.PROGRAM, "x", start_s=0, end_s=1))
        thread.start()
        thread.join()
    assert outer == inner == [Span(Kind.PROGRAM, "x", 0, 1)]


def test_a_program_that_ran_is_noted():
    with listening() as heard:
        process.run([sys.executable, "-c", "1 + 1"], deadline_s=30)
    assert [(one.kind, one.name) for one in heard] == [(Kind.PROGRAM, Path(sys.executable).name)]
    assert heard[0].seconds > 0


def test_a_span_is_noted_when_its_body_fails():
    with listening() as heard, pytest.raises(RuntimeError), span(Kind.PROGRAM, "x"):
        raise RuntimeError
    assert [one.name for one in heard] == ["x"]


def test_an_answer_at_once_is_no_wait_and_a_later_one_is_one_wait_with_its_probes():
    answers = iter([NotYet("a"), NotYet("b"), "yes"])

    def probe():
        with span(Kind.PROGRAM, "probe"):
            return next(answers)

    with listening() as heard:
        assert wait_until(lambda: "yes", clock=FakeClock(), deadline_s=5, what="etcd") == "yes"
        assert heard == []
        assert wait_until(probe, clock=FakeClock(), deadline_s=5, what="etcd") == "yes"
    assert [(one.kind, one.name) for one in heard] == [(Kind.PROGRAM, "probe"), (Kind.WAIT, "etcd")]
