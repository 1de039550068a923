"""The fault book."""

from pathlib import Path

import pytest

from infraflux_lab.events import EventLog
from infraflux_lab.faults import FaultBook, target_pattern

TARGETS = {
    "machine in an environment": ("dev", "10011", "dev/10011"),
    "machine anywhere": (None, "10011", "*/10011"),
    "everything in an environment": ("dev", "*", "dev/*"),
    "full name": ("dev", "prod/pve-1", "prod/pve-1"),
    "call": ("dev", "POST /pools", "dev/POST /pools"),
    "path": ("dev", "/pools", "dev//pools"),
}


@pytest.mark.parametrize(("environment", "target", "pattern"), TARGETS.values(), ids=TARGETS)
def test_pattern(environment: str | None, target: str, pattern: str) -> None:
    assert target_pattern(environment=environment, target=target) == pattern


@pytest.fixture
def book(tmp_path: Path) -> FaultBook:
    return FaultBook(tmp_path / "faults.json", EventLog(tmp_path / "events.jsonl"))


def test_strikes_as_often_as_asked(book: FaultBook) -> None:
    book.add("slow-task", target="dev/*", times=2, params={"seconds": "1"})
    assert [book.take("slow-task", "dev/1") for _ in range(3)] == [{"seconds": "1"}, {"seconds": "1"}, None]
    assert book.list()[0].hits == 2


def test_looking_does_not_count(book: FaultBook) -> None:
    book.add("vm-lock", target="dev/1", times=1, params={})
    assert book.active("vm-lock", "dev/1") == {}
    assert book.take("vm-lock", "dev/1") == {}
    assert book.active("vm-lock", "dev/1") is None


def test_other_targets_and_kinds_are_left_alone(book: FaultBook) -> None:
    book.add("slow-task", target="dev/1?", times=None, params={})
    assert book.take("slow-task", "dev/12") == {}
    assert book.take("slow-task", "dev/2") is None
    assert book.take("slow-task", "prod/12") is None
    assert book.take("fail-task", "dev/12") is None


def test_the_book_survives(book: FaultBook, tmp_path: Path) -> None:
    book.add("slow-task", target="*", times=3, params={})
    book.take("slow-task", "dev/1")
    again = FaultBook(tmp_path / "faults.json", EventLog(tmp_path / "events.jsonl"))
    assert [(fault.times, fault.hits) for fault in again.list()] == [(3, 1)]
    assert len(again.clear()) == 1
    assert again.take("slow-task", "dev/1") is None
