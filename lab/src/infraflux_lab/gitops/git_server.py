"""Git over smart HTTP: `git http-backend` behind aiohttp, with one credential.

https://git-scm.com/docs/git-http-backend
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

from infraflux.core.files import write_private
from infraflux_lab.contracts import EventSink
from infraflux_lab.gitops.git import git_environment

PORT = 8881
USER = "infraflux"
_CHUNK_BYTES = 64 * 1024
_RECEIVE = "git-receive-pack"
_TAILS = frozenset({"info/refs", "HEAD", "git-upload-pack", _RECEIVE})


def ensure_credential(path: Path) -> str:
    """`user:password` in `path`, made on first use; the file is 0600 and stays."""
    if not path.exists():
        write_private(path, f"{USER}:{secrets.token_urlsafe(24)}")
    return path.read_text().strip()


class GitServer:
    """Repositories below one directory at `http://<address>:8881/<name>.git`.

    Everybody may read those that are not private; pushing, and reading a private one, needs the credential.
    """

    def __init__(
        self,
        *,
        address: str,
        root: Path,
        private: Mapping[str, bool],
        credential: str,
        events: EventSink,
        pushed: Callable[[str], Awaitable[None]],
        reading: Callable[[str], Awaitable[None]] | None = None,
        port: int = PORT,
    ) -> None:
        """`private` names every repository that is served; `pushed` is told the name after each push, `reading` before
        each read's first answer."""
        self._address, self._port = address, port
        self._root, self._private, self._credential = root, private, credential.encode()
        self._events, self._pushed, self._reading = events, pushed, reading
        self._runner: web.AppRunner | None = None

    def url(self, name: str) -> str:
        """Where a repository is cloned from."""
        return f"http://{self._address}:{self._port}/{name}.git"

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{name}.git/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name, tail = request.match_info["name"], request.match_info["tail"]
        if name not in self._private or tail not in _TAILS:
            return web.Response(status=404, text="no such repository\n")
        writes = _RECEIVE in (tail, request.query.get("service"))
        if (writes or self._private[name]) and not self._may(request):
            self._events.emit("git", "refused", repository=name)
            challenge = {"WWW-Authenticate": 'Basic realm="InfraFlux lab"'}
            return web.Response(status=401, text="credential missing or wrong\n", headers=challenge)
        if self._reading and not writes and tail == "info/refs":
            await self._reading(name)

        async def told() -> None:
            # Before a large push Git asks with an empty one (a lone flush packet, 4 bytes) whether it may.
            if tail == _RECEIVE and request.content_length != 4:
                self._events.emit("git", "push", repository=name)
                await self._pushed(name)

        return await self._backend(request, name, tail, authenticated=writes, told=told)

    def _may(self, request: web.Request) -> bool:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            said = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(said, self._credential)

    async def _backend(
        self, request: web.Request, name: str, tail: str, *, authenticated: bool, told: Callable[[], Awaitable[None]]
    ) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=git_environment(**_cgi(request, root=self._root, name=name, tail=tail, authenticated=authenticated)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_CHUNK_BYTES,
        )
        feeding = asyncio.create_task(_feed(request, process))
        try:
            return await _answer(request, process, told)
        finally:
            feeding.cancel()
            # Not Process.kill: it reaps a process that has just ended under asyncio's feet.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            await process.wait()


def _cgi(request: web.Request, *, root: Path, name: str, tail: str, authenticated: bool) -> dict[str, str]:
    """CGI variables; the user's name makes the backend accept a push.

    The body's encoding is not among them: aiohttp has unpacked it already.
    """
    wanted = {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{name}.git/{tail}",
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
    }
    return {**wanted, "REMOTE_USER": USER} if authenticated else wanted


async def _feed(request: web.Request, process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            process.stdin.write(chunk)
            await process.stdin.drain()
    process.stdin.close()


async def _answer(
    request: web.Request, process: asyncio.subprocess.Process, told: Callable[[], Awaitable[None]]
) -> web.StreamResponse:
    """The backend's answer; `told` is awaited before its end: whoever pushed goes on when all have heard of it."""
    assert process.stdout is not None
    headers: dict[str, str] = {}
    while line := (await process.stdout.readline()).strip():
        key, _, value = line.decode().partition(":")
        headers[key] = value.strip()
    status = int(headers.pop("Status", "200").split()[0])
    answer = web.StreamResponse(status=status, headers=headers)
    # Git hangs up as soon as it knows enough.
    with contextlib.suppress(ConnectionResetError):
        await answer.prepare(request)
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            await answer.write(chunk)
    await told()
    with contextlib.suppress(ConnectionResetError):
        await answer.write_eof()
    return answer
