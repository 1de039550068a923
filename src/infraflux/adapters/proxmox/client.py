"""The Proxmox API, read through proxmoxer: bounded retries, and every failure classed where it happens."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable

STAGE = "preflight"
TIMEOUT_S = 30.0
"""A Proxmox host under load takes its time; more than this is an outage."""
ATTEMPTS = 3
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


class ProxmoxMissing(Permanent):
    """What was asked for does not exist (any more)."""


@dataclass(frozen=True, kw_only=True)
class ProxmoxAccess:
    """How to reach one Proxmox cluster."""

    endpoint: str
    token_id: str
    """`user@realm!name`"""
    token_secret: str = field(repr=False)
    ca_file: Path | None = None
    insecure: bool = False

    @property
    def provider_token(self) -> str:
        """The value of PROXMOX_VE_API_TOKEN."""
        return f"{self.token_id}={self.token_secret}"


class ProxmoxReader:
    """GET only. `read("cluster/resources", type="vm")` is the `data` of the answer.

    A read is repeated on transient failures: it changes nothing. Raises Retryable or Permanent.
    """

    def __init__(self, access: ProxmoxAccess, *, timeout_s: float = TIMEOUT_S, wait_s: float = 0.5) -> None:
        self.access = access
        self._wait_s = wait_s
        self._api = _connect(access, timeout_s=timeout_s)

    def read(self, path: str, **parameters: Any) -> Any:
        """The answer to `GET path`; ProxmoxMissing where there is no such thing."""
        return self._retrying(lambda: self._api(path).get(**parameters), doing=f"GET {path}")

    def _retrying(self, call: Callable[[], Any], *, doing: str) -> Any:
        retrying = Retrying(
            retry=retry_if_exception_type(Retryable),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=self._wait_s, max=5, jitter=self._wait_s),
            reraise=True,
        )
        return retrying(lambda: classed(call, doing=doing, endpoint=self.access.endpoint))


def classed(call: Callable[[], Any], *, doing: str, endpoint: str) -> Any:
    """The result of `call`, its failures as ours."""
    try:
        return call()
    except ResourceException as error:
        raise _of_answer(error, doing=doing, endpoint=endpoint) from None
    except requests.exceptions.SSLError as error:
        raise Permanent(
            f"{endpoint}: the certificate is not trusted ({_innermost(error)})",
            stage=STAGE,
            error_class=ErrorClass.CONFIG,
            next_step="set proxmox.ca_file to the CA that signed it",
        ) from None
    except requests.exceptions.RequestException as error:
        raise Retryable(
            f"{endpoint}: {doing} did not get through ({_innermost(error)})",
            stage=STAGE,
            next_step="check that the Proxmox API is up and reachable",
        ) from None


def _of_answer(error: ResourceException, *, doing: str, endpoint: str) -> InfrafluxError:
    what = f"{endpoint}: {doing}: {error.status_code} {error.content or error.status_message or ''}".rstrip()
    if error.errors:
        what = f"{what} {error.errors}"
    missing = error.status_code == _NOT_FOUND or "does not exist" in what or "no such" in what
    if error.status_code == _UNAUTHORIZED:
        return Permanent(what, stage=STAGE, next_step="renew the API token, or correct its reference (proxmox.token)")
    if error.status_code == _FORBIDDEN:
        return Permanent(what, stage=STAGE, next_step="give the token the privileges of docs/proxmox.md")
    if missing:
        return ProxmoxMissing(what, stage=STAGE)
    if error.status_code >= requests.codes.internal_server_error:
        return Retryable(what, stage=STAGE, next_step="run it again")
    return Permanent(what, stage=STAGE, error_class=ErrorClass.INTERNAL)


def _connect(access: ProxmoxAccess, *, timeout_s: float) -> ProxmoxAPI:
    parts = urlsplit(access.endpoint)
    user, _, token_name = access.token_id.partition("!")
    verify: bool | str = not access.insecure
    if verify and access.ca_file is not None:
        verify = str(access.ca_file)
    return ProxmoxAPI(
        parts.hostname,
        port=parts.port or 8006,
        user=user,
        token_name=token_name,
        token_value=access.token_secret,
        verify_ssl=verify,
        timeout=timeout_s,
        path_prefix=parts.path.strip("/") or None,
    )


def _innermost(error: BaseException) -> str:
    """The cause a person can read; the outer layers only repeat the address."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
