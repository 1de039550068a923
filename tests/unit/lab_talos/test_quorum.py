"""Majorities: when the API lives, where it runs, which members may leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infraflux_lab.talos.quorum import Refusal, choose_home, has_quorum, removal_refused
from infraflux_lab.talos.store import Member


def members(size: int) -> list[Member]:
    return [Member(id=at, name=f"cp-{at}", address=f"10.0.0.{at}", machine=f"m{at}") for at in range(1, size + 1)]


@pytest.mark.parametrize(
    ("size", "alive", "expected"),
    [
        (0, set(), False),
        (1, {"m1"}, True),
        (1, set(), False),
        (2, {"m1"}, False),
        (3, {"m1", "m3"}, True),
        (3, {"m2"}, False),
        (3, {"m2", "stranger", "other"}, False),
        (5, {"m1", "m2", "m3"}, True),
    ],
)
def test_has_quorum(size: int, alive: set[str], expected: bool) -> None:
    assert has_quorum(members(size), alive) is expected


def test_home_stays_while_it_lives_and_moves_when_it_dies() -> None:
    three = members(3)
    assert choose_home(three, {"m1", "m2", "m3"}, "m2") == "m2"
    assert choose_home(three, {"m1", "m3"}, "m2") == "m1"
    assert choose_home(three, {"m3"}, "m3") is None
    assert choose_home(three, {"m1", "m2", "m3"}, None) == "m1"


@pytest.mark.parametrize(
    ("size", "alive", "leaves", "refused"),
    [
        pytest.param(3, {"m1", "m2", "m3"}, 3, None, id="one of three"),
        pytest.param(3, {"m1", "m2"}, 3, None, id="the dead one of three"),
        pytest.param(3, {"m1", "m2"}, 2, Refusal.NOT_ENOUGH_STARTED, id="a living one beside a dead one"),
        pytest.param(3, {"m1"}, 3, Refusal.NO_LEADER, id="no quorum"),
        pytest.param(2, {"m1", "m2"}, 2, None, id="one of two"),
        pytest.param(1, {"m1"}, 1, Refusal.NOT_ENOUGH_STARTED, id="the last"),
    ],
)
def test_removal(size: int, alive: set[str], leaves: int, refused: Refusal | None) -> None:
    assert removal_refused(members(size), alive, leaves) is refused


@given(st.integers(min_value=1, max_value=7), st.data())
def test_an_allowed_removal_never_costs_the_quorum(size: int, data: st.DataObject) -> None:
    cluster = members(size)
    alive = {member.machine for member in cluster if data.draw(st.booleans())}
    leaving = data.draw(st.sampled_from(cluster))
    if removal_refused(cluster, alive, leaving.id) is None:
        left = [member for member in cluster if member.id != leaving.id]
        assert has_quorum(left, alive - {leaving.machine})
