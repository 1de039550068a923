"""The lab's control socket: one JSON request per line, one JSON answer per line."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from infraflux_lab.state import LabError

LINE_LIMIT_BYTES = 4 * 1024**2
# Local and idle: anything slower than this means that the daemon hangs.
CALL_TIMEOUT_S = 30.0

Operation = Callable[[Mapping[str, Any]], Awaitable[Any]]


class ControlServer:
    """Serves operations by name."""

    def __init__(self, path: Path, operations: Mapping[str, Operation]) -> None:
        self._path, self._operations = path, operations
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket left by a killed daemon is replaced."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=self._path, limit=LINE_LIMIT_BYTES)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Close and remove the socket."""
        if self._server:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line), default=str).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            operation = self._operations.get(request.get("op"))
            if operation is None:
                return {"error": f"no operation {request.get('op')!r}"}
            return {"result": await operation(request)}
        except LabError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - a bad request must not end the daemon
            return {"error": f"internal: {error!r}"}


class NotRunning(LabError):
    """Nobody listens on the control socket."""


def call(path: Path, op: str, *, timeout_s: float = CALL_TIMEOUT_S, **fields: Any) -> Any:
    """Ask the daemon; raises NotRunning where there is none, LabError with the daemon's own words where it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
            with connection.makefile("rb") as file:
                line = file.readline()
        except (FileNotFoundError, ConnectionError):
            raise NotRunning("the lab is not running; start it with `infraflux lab up`") from None
        except TimeoutError:
            raise LabError(f"the lab did not answer within {timeout_s:.0f} s") from None
    if not line:
        raise NotRunning("the lab went away while it was asked")
    answer = json.loads(line)
    if "error" in answer:
        raise LabError(str(answer["error"]))
    return answer["result"]
