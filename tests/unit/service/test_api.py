"""What a client of the Prefect server does when it does not answer."""

from typing import Any, cast

import pytest
import requests
from fakes.clock import FakeClock

from infraflux.core.errors import Retryable
from infraflux.service.api import Busy, PrefectApi
from infraflux.service.credentials import Credentials


class Session:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[str] = []

    def request(self, method: str, _url: str, **_how: Any) -> requests.Response:
        self.sent.append(method)
        if self.failures:
            raise self.failures.pop(0)
        reply = requests.Response()
        reply.status_code, reply._content = 200, b'{"name": "probe"}'
        return reply


def api(session: Session) -> PrefectApi:
    credentials = Credentials("ann", "a-password", "a-key")
    return PrefectApi(
        "http://127.0.0.1:1/api", credentials, session=cast("requests.Session", session), clock=FakeClock()
    )


def test_a_read_that_was_left_unanswered_is_repeated() -> None:
    session = Session(requests.ReadTimeout(), requests.ReadTimeout())
    assert api(session).get("/flow_runs/1") == {"name": "probe"}
    assert session.sent == ["GET"] * 3


@pytest.mark.parametrize(
    ("method", "failure"), [("POST", requests.ReadTimeout()), ("GET", requests.ConnectionError())], ids=["post", "away"]
)
def test_what_may_have_been_done_and_a_server_that_is_away_are_not(method: str, failure: Exception) -> None:
    session = Session(failure)
    with pytest.raises(Retryable, match="does not answer") as caught:
        api(session).call(method, "/flow_runs/1")
    assert not isinstance(caught.value, Busy)
    assert session.sent == [method]
