"""Waiting for a server that restarts."""

import httpx
import pytest

from tasks.engine.retry import retry


class Server:
    """Away for a number of calls."""

    def __init__(self, away: int, error: Exception) -> None:
        self.away, self.error, self.calls = away, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.away:
            raise self.error
        return "answer"


def test_a_server_that_comes_back_is_waited_for() -> None:
    server, slept = Server(3, httpx.ConnectError("refused")), list[float]()
    assert retry(server, sleep=slept.append) == "answer"
    assert (server.calls, len(slept)) == (4, 3)


def test_the_last_error_comes_at_the_deadline() -> None:
    server = Server(9, httpx.ConnectError("refused"))
    with pytest.raises(httpx.ConnectError):
        retry(server, deadline_s=0, sleep=lambda _: None)


def test_an_answer_is_an_answer() -> None:
    server = Server(9, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        retry(server, sleep=lambda _: None)
    assert server.calls == 1
