"""Majorities: when the API lives and where it runs."""

import pytest

from infraflux_lab.talos.quorum import choose_home, has_quorum
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
