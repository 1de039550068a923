"""Waiting for an answer, and what is known when none came."""

import pytest
from fakes.clock import FakeClock

from infraflux.core.clock import NotYet, wait_until


def test_a_wait_probes_once_more_at_its_deadline_and_gives_the_last_observation():
    clock, seen = FakeClock(), []

    def probe():
        seen.append(clock.now)
        return NotYet(f"nothing at {clock.now}")

    assert wait_until(probe, clock=clock, deadline_s=1.2, interval_s=0.5, what="x") == NotYet("nothing at 1.2")
    assert seen == [0.0, 0.5, 1.0, 1.2]


def test_without_time_it_looks_once():
    clock = FakeClock()
    assert wait_until(lambda: NotYet("off"), clock=clock, deadline_s=0, what="x") == NotYet("off")
    assert clock.slept == []


@pytest.mark.parametrize("answer", [None, False, "", []])
def test_whatever_is_not_a_not_yet_is_the_answer(answer):
    assert wait_until(lambda: answer, clock=FakeClock(), deadline_s=5, what="x") == answer


def test_each_new_reason_is_logged_once():
    answers, heard = iter([*map(NotYet, ["a", "a", "b", "b", "a"]), "done"]), []
    found = wait_until(lambda: next(answers), clock=FakeClock(), deadline_s=60, what="x", log=heard.append)
    assert (found, heard) == ("done", ["a", "b", "a"])
