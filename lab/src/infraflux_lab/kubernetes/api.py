"""A small asynchronous client of the API server: what the lab itself does in its clusters."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

T = TypeVar("T")

FIELD_MANAGER = "infraflux-lab"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
REQUEST_TIMEOUT_S = 15.0


class ApiError(Exception):
    """An answer of the API server that is not a success; `status` is the HTTP status, 0 for no answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}" if status else message)
        self.status = status


def client_context(*, ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Mutual TLS with files in PEM."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(certificate, key)
    return context


class ApiClient:
    """Paths are those of the REST API: `/api/v1/nodes/a`."""

    def __init__(self, *, server: str, context: ssl.SSLContext) -> None:
        """Opens no connection yet; must be made inside the event loop."""
        self._session = aiohttp.ClientSession(
            base_url=server,
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            # A watch event is one line, and an object may be as large as etcd takes (1.5 MiB).
            read_bufsize=4 * 2**20,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, path: str) -> dict[str, Any] | None:
        """The object, None if there is none."""
        try:
            return await self._call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, path: str, body: Mapping[str, Any], *, as_node: str = "") -> bool:
        """Create; False where it exists already. `as_node` as for `merge`."""
        try:
            await self._call("POST", path, body=body, as_node=as_node)
        except ApiError as error:
            if error.status != 409:
                raise
            return False
        return True

    async def apply(
        self, path: str, body: Mapping[str, Any], *, manager: str = FIELD_MANAGER, force: bool = True
    ) -> dict[str, Any]:
        """Server-side apply, by default with the lab's own field manager; `force` takes over what others set."""
        query = f"?fieldManager={manager}&force={str(force).lower()}"
        return await self._call("PATCH", path + query, body=body, content_type=_APPLY)

    async def merge(self, path: str, body: Mapping[str, Any], *, as_node: str = "") -> dict[str, Any]:
        """JSON merge patch; None removes a key. `as_node`: with no more rights than the kubelet of that node has."""
        target = f"{path}?fieldManager={FIELD_MANAGER}"
        return await self._call("PATCH", target, body=body, content_type=_MERGE, as_node=as_node)

    async def strategic_merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Strategic merge patch: lists of built-in types are merged by their keys."""
        query = f"?fieldManager={FIELD_MANAGER}"
        return await self._call("PATCH", path + query, body=body, content_type=_STRATEGIC)

    async def delete(self, path: str) -> None:
        """Delete without grace; nothing happens where there is none."""
        try:
            await self._call("DELETE", path + "?gracePeriodSeconds=0")
        except ApiError as error:
            if error.status != 404:
                raise

    async def ready(self) -> bool:
        """Whether `/readyz` says ok."""
        try:
            async with self._session.get("/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def watch(self, path: str, *, timeout_s: float, metadata_only: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Watch events of a collection from now on, until the server or `timeout_s` ends the stream.

        `metadata_only` for objects whose body is not needed and may be larger than a line of the stream can be.
        """
        headers = {"Accept": _METADATA_ONLY} if metadata_only else {}
        unlimited = aiohttp.ClientTimeout(total=timeout_s, sock_read=timeout_s)
        separator = "&" if "?" in path else "?"
        try:
            async with self._session.get(f"{path}{separator}watch=true", timeout=unlimited, headers=headers) as answer:
                await _raise_for(answer)
                async for line in answer.content:
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError):
            return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        as_node: str = "",
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        if as_node:
            headers |= {"Impersonate-User": f"system:node:{as_node}", "Impersonate-Group": "system:nodes"}
        try:
            async with self._session.request(method, path, data=data, headers=headers) as answer:
                await _raise_for(answer)
                result: dict[str, Any] = await answer.json()
                return result
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, f"no answer to {method} {path}: {error or type(error).__name__}") from error


async def eventually(attempt: Callable[[], Awaitable[T]], *, deadline_s: float, pause_s: float = 0.1) -> T:
    """Call `attempt` until it no longer raises ApiError; the last error is raised after `deadline_s`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        try:
            return await attempt()
        except ApiError:
            if loop.time() > end:
                raise
            await asyncio.sleep(pause_s)


async def _raise_for(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 400:
        return
    text = await answer.text()
    try:
        message = str(json.loads(text).get("message", text))
    except ValueError:
        message = text
    raise ApiError(answer.status, message[:500])
