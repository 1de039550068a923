"""Writing out prefect.yaml and the queues for the environments there are."""

from typing import Any

import pytest

from infraflux.config.environments import Environment, promotion_order
from infraflux.service.templates import written_out

HOME = Environment("home")
DEV = Environment("dev", None, ("dev-1", "dev-2"))
PROD = Environment("prod", "dev", ("prod-1",))

CASES: dict[str, tuple[Any, list[Environment], list[Any]]] = {
    "an entry for all stays one": ({"name": "nightly"}, [DEV, PROD], [{"name": "nightly"}]),
    "one for each environment": ({"name": "<environment>"}, [DEV, PROD], [{"name": "dev"}, {"name": "prod"}]),
    "no environment, no entry": ({"name": "<environment>"}, [], []),
    "only where releases come from somewhere": (
        {"name": "<environment>", "match": ["infraflux.cluster.<source>.*"]},
        [DEV, PROD],
        [{"name": "prod", "match": ["infraflux.cluster.dev.*"]}],
    ),
    "the first cluster": ({"parameters": {"cluster": "<cluster>"}}, [DEV], [{"parameters": {"cluster": "dev-1"}}]),
    "no cluster yet": ({"name": "<environment>", "in": {"cluster": "<cluster>"}}, [HOME], [{"name": "home", "in": {}}]),
    "numbers stay": (
        {"a": "<environment>", "b": 1},
        [HOME],
        [{"a": "home", "b": 1}],
    ),
}


@pytest.mark.parametrize(("entry", "environments", "expected"), CASES.values(), ids=CASES)
def test_written_out(entry: Any, environments: list[Environment], expected: list[Any]) -> None:
    assert written_out([entry], environments) == expected


def test_no_two_environments_look_in_the_same_minute() -> None:
    chain = [Environment("e0"), *(Environment(f"e{number}", f"e{number - 1}") for number in range(1, 7))]
    minutes = [one["at"] for one in written_out([{"at": "<minute>"}], chain)]
    assert minutes == ["7", "17", "27", "37", "47", "57"]


@pytest.mark.parametrize(
    ("sources", "order"),
    [
        ({}, []),
        ({"home": None}, ["home"]),
        ({"prod": "staging", "staging": "dev", "dev": None}, ["dev", "staging", "prod"]),
        ({"prod": "dev", "dev": None, "attic": None}, ["attic", "dev", "prod"]),
        ({"b": "gone"}, ["b"]),
        ({"a": "b", "b": "a"}, ["a", "b"]),
    ],
    ids=["none", "one alone", "a chain", "two beginnings", "a source that is gone", "a circle ends"],
)
def test_promotion_order(sources: dict[str, str | None], order: list[str]) -> None:
    assert promotion_order(sources) == order
