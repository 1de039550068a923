"""A bar never holds a stage up: it is written beside the run, and only the newest value counts."""

import threading

import httpx
from prefect.context import TagsContext

from tasks.engine import progress as progress_bar
from tasks.engine.progress import ProgressBar

PATIENCE_S = 10.0


class Server:
    """Answers when it is let, and remembers what it was told."""

    def __init__(self, *, failing: int = 0) -> None:
        self.asked, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.told: list[float] = []
        self.tags: list[set[str]] = []
        self.failing = failing

    def write(self, percent: float) -> None:
        self.asked.release()
        assert self.let.acquire(timeout=PATIENCE_S)
        if self.failing:
            self.failing -= 1
            raise httpx.ConnectError("restarting")
        self.told.append(percent)
        self.tags.append(TagsContext.get().current_tags)


def test_a_slow_server_gets_the_newest_value_only():
    server = Server()
    bar = ProgressBar(server.write)
    bar.show(10)
    assert server.asked.acquire(timeout=PATIENCE_S)
    for percent in (20, 30, 40):
        bar.show(percent)
    server.let.release(2)
    bar.close()
    assert server.told == [10, 40]


def test_a_server_that_is_away_gets_the_next_value():
    server = Server(failing=1)
    bar = ProgressBar(server.write)
    bar.show(10)
    assert server.asked.acquire(timeout=PATIENCE_S)
    bar.show(100)
    server.let.release(2)
    bar.close()
    assert server.told == [100]


def test_a_silent_server_does_not_hold_the_end_up(monkeypatch):
    monkeypatch.setattr(progress_bar, "CLOSE_S", 0.01)
    server = Server()
    bar = ProgressBar(server.write)
    bar.show(10)
    bar.close()
    assert server.told == []
    server.let.release()


def test_nothing_shown_is_nothing_written():
    bar = ProgressBar(Server().write)
    bar.close()


def test_the_thread_knows_the_run():
    server = Server()
    server.let.release()
    with TagsContext(current_tags={"of the run"}):
        bar = ProgressBar(server.write)
        bar.show(10)
        bar.close()
    assert server.tags == [{"of the run"}]
