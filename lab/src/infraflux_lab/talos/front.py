"""TLS in front of the gRPC server.

grpcio's server cannot ask for Ed25519 client certificates, the only kind Talos clients have, so Python's `ssl` ends
TLS and pipes the bytes to one insecure gRPC server on a unix socket. Each pipe binds its end of that socket to an
abstract name; gRPC reports the name as the peer, and so every call finds the machine and the roles it came in with.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from infraflux_lab.talos.pki import roles_of
from infraflux_lab.talos.tls import TlsStream

TALOS_PORT = 50000
_CHUNK = 64 * 1024
# A port may linger for a moment between the machine's old and new listener.
_BIND_ATTEMPTS = 20
_BIND_PAUSE_S = 0.1
# A client that connects and stays silent must not hold a slot for ever.
_HANDSHAKE_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where a call came in and as whom."""

    machine: str
    roles: frozenset[str]


class Connections:
    """Open client connections by the peer name that gRPC reports."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path
        self._numbers = itertools.count(1)
        self._open: dict[str, Connection] = {}

    def find(self, peer: str) -> Connection | None:
        """The connection behind `ServicerContext.peer()`."""
        return self._open.get(peer)

    @contextlib.asynccontextmanager
    async def backend(self, connection: Connection) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A pipe to the gRPC server that carries this connection's identity."""
        # The object's id keeps two labs in one process apart (tests); the pid two processes.
        name = f"infraflux-talos-{os.getpid()}-{id(self):x}-{next(self._numbers)}"
        peer = f"unix-abstract:{name}"
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.bind(f"\0{name}")
            await asyncio.get_running_loop().sock_connect(sock, str(self.socket_path))
            reader, writer = await asyncio.open_unix_connection(sock=sock)
        except BaseException:
            sock.close()
            raise
        self._open[peer] = connection
        try:
            yield reader, writer
        finally:
            self._open.pop(peer, None)
            await _close(writer)


class Front:
    """The Talos API port of one machine, in one mode; a change of mode is a new Front."""

    def __init__(
        self, *, machine: str, address: str, context: ssl.SSLContext, connections: Connections, roles: frozenset[str]
    ) -> None:
        self._machine = machine
        self._address = address
        self._context = context
        self._connections = connections
        self._anonymous_roles = roles
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; OSError if the address is not on this machine or stays taken."""
        for attempt in itertools.count(1):
            try:
                self._server = await asyncio.start_server(self._accept, self._address, TALOS_PORT)
                return
            except OSError:
                if attempt == _BIND_ATTEMPTS:
                    raise
                await asyncio.sleep(_BIND_PAUSE_S)

    async def close(self) -> None:
        """Stop listening and cut every connection, as a machine that goes down does."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Cancelled when the machine goes down: the stream machinery would log that as an error.
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, TimeoutError, ssl.SSLError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = TlsStream(reader, writer, self._context)
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
            certificate = await client.handshake()
        roles = roles_of(certificate["subject"]) if "subject" in certificate else self._anonymous_roles
        connection = Connection(machine=self._machine, roles=roles)
        async with self._connections.backend(connection) as (back_reader, back_writer):
            pumps = [
                asyncio.create_task(_upstream(client, back_writer)),
                asyncio.create_task(_downstream(back_reader, client)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)


async def _upstream(client: TlsStream, writer: asyncio.StreamWriter) -> None:
    while data := await client.read():
        writer.write(data)
        await writer.drain()


async def _downstream(reader: asyncio.StreamReader, client: TlsStream) -> None:
    while data := await reader.read(_CHUNK):
        await client.write(data)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
