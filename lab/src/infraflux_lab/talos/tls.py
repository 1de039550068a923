"""TLS over a plain asyncio stream.

asyncio's own TLS closes the socket the moment a handshake fails, with the client's first bytes unread: the kernel then
resets the connection and the alert is lost. Clients tell a machine's mode by that alert ("certificate required"), so
the handshake is done here, and after a failure the connection is drained until the client has read it.
"""

import asyncio
import contextlib
import ssl
from typing import Any

_CHUNK = 64 * 1024
# How long a refused client may take to read the alert and hang up.
_LINGER_S = 1.0


class TlsStream:
    """One server-side TLS connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> dict[str, Any]:
        """Complete the handshake; the client's certificate as `ssl` describes it. SSLError if it is refused."""
        while True:
            try:
                self._tls.do_handshake()
                await self._flush()
                return self._tls.getpeercert() or {}
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise ssl.SSLEOFError("the client hung up") from None
            except ssl.SSLError:
                await self._flush()
                await self._linger()
                raise

    async def read(self) -> bytes:
        """Decrypted bytes; empty at the end."""
        while True:
            try:
                return self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                # A key update or a session ticket may have to go out before more comes in.
                await self._flush()
                if not await self._fill():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    async def write(self, data: bytes) -> None:
        """Encrypt and send."""
        self._tls.write(data)
        await self._flush()

    async def _fill(self) -> bool:
        data = await self._reader.read(_CHUNK)
        if data:
            self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()

    async def _linger(self) -> None:
        # OSError and not only ConnectionError: a client that is gone already answers ENOTCONN.
        with contextlib.suppress(OSError):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                while await self._reader.read(_CHUNK):
                    pass
