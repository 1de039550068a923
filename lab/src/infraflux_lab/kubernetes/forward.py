"""A TCP forward on an address of its own: a virtual IP, or the API port of a further control plane."""

import asyncio
import contextlib
from collections.abc import Callable

Target = tuple[str, int]
_CHUNK_BYTES = 64 * 1024


class Forward:
    """Accepts on one address and connects each client to wherever `target` says at that moment.

    Without a target, or with nobody listening there, the client's connection is closed, as by a dead API server.
    """

    def __init__(self, *, address: str, port: int, target: Callable[[], Target | None]) -> None:
        """`target` is asked once per connection, so the home may move while the forward stays."""
        self.address = address
        self._port = port
        self._target = target
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen; OSError if the address is taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.address, self._port, limit=_CHUNK_BYTES)

    async def close(self) -> None:
        """Stop listening and drop the connections."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._clients):
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            target = self._target()
            if target:
                await self._pipe_to(target, reader, writer)
        except OSError:
            # Either side went away; closing below tells the other.
            pass
        finally:
            self._clients.discard(writer)
            await _close(writer)

    async def _pipe_to(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*target, limit=_CHUNK_BYTES)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, upstream_writer))
                group.create_task(_copy(upstream_reader, writer))
        except* OSError:
            pass
        finally:
            await _close(upstream_writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
