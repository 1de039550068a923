"""The Prefect REST API, as far as the service needs it.

Plain HTTP in place of Prefect's client: importing that costs 2.5 s, each `prefect` command 3 to 5 s.
"""

from typing import Any, cast

import requests
from requests.auth import HTTPBasicAuth
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from infraflux.core.clock import Clock, SystemClock
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.service.credentials import Credentials

TIMEOUT_S = 30.0
"""SQLite under a burst of runs holds requests back for seconds."""

HTTP_UNAUTHORIZED, HTTP_NOT_FOUND, HTTP_CONFLICT, HTTP_TOO_MANY = 401, 404, 409, 429
HTTP_SERVER_ERROR, HTTP_UNAVAILABLE = 500, 503


class NotFound(Permanent):
    """The server does not know the object."""


class Busy(Retryable):
    """The server did nothing: SQLite was locked, or the request only read. It may be repeated."""


def failure(reply: requests.Response, what: str) -> InfrafluxError:
    """The error behind a reply that is none of 2xx."""
    detail = reply.text[:500]
    if reply.status_code == HTTP_UNAUTHORIZED:
        return Permanent(
            f"{what}: the server refused the password",
            stage="service",
            next_step="use the credentials of this project's service (`infraflux service status` names the file)",
        )
    if reply.status_code == HTTP_NOT_FOUND:
        return NotFound(f"{what}: not found", stage="service")
    if reply.status_code == HTTP_CONFLICT:
        return Permanent(f"{what}: {detail}", stage="service", error_class=ErrorClass.CONFLICT)
    if reply.status_code in (HTTP_TOO_MANY, HTTP_UNAVAILABLE):
        return Busy(f"{what}: HTTP {reply.status_code} {detail}", stage="service")
    if reply.status_code >= HTTP_SERVER_ERROR:
        return Retryable(f"{what}: HTTP {reply.status_code} {detail}", stage="service")
    return Permanent(f"{what}: HTTP {reply.status_code} {detail}", stage="service", error_class=ErrorClass.INTERNAL)


class PrefectApi:
    """One server, one password."""

    def __init__(
        self,
        api_url: str,
        credentials: Credentials,
        *,
        session: requests.Session | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._url = api_url
        self._clock = clock or SystemClock()
        self._session = session or requests.Session()
        self._session.auth = HTTPBasicAuth(credentials.user, credentials.password)
        # Proxy variables of the user's shell must not reach for a loopback server.
        self._session.trust_env = False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; Retryable where the server is away or busy, NotFound or Permanent else."""
        retry = Retrying(
            retry=retry_if_exception_type(Busy),
            stop=stop_after_attempt(6),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return retry(self._once, method, path, body)

    def _once(self, method: str, path: str, body: Any) -> Any:
        what = f"{method} {path}"
        try:
            reply = self._session.request(method, f"{self._url}{path}", json=body, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            # Under load the server leaves a request unanswered now and then, and answers the next in milliseconds.
            lost = method == "GET" and isinstance(error, requests.ReadTimeout)
            raise (Busy if lost else Retryable)(
                f"{what}: the Prefect server does not answer ({type(error).__name__})",
                stage="service",
                next_step="infraflux service status; infraflux service up",
            ) from None
        if not reply.ok:
            raise failure(reply, what)
        return reply.json() if reply.content else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def find(self, path: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        try:
            return cast("dict[str, Any]", self.get(path))
        except NotFound:
            return None

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body if body is not None else {})

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)
