import asyncio
import contextlib
import os

import pytest

from infraflux_lab.kubernetes.forward import Forward

NET = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}.84"
PORT = 26443


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1024):
        writer.write(data.upper())
        await writer.drain()
    writer.close()


async def _ask(address: str, words: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address, PORT)
    writer.write(words)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.anyio
async def test_leads_to_the_home_of_the_moment() -> None:
    homes: list[str] = [f"{NET}.1"]
    server = await asyncio.start_server(_echo, homes[0], PORT)
    forward = Forward(address=f"{NET}.2", port=PORT, target=lambda: (homes[0], PORT) if homes else None)
    await forward.open()
    await forward.open()
    try:
        assert await _ask(f"{NET}.2", b"hello") == b"HELLO"
        large = os.urandom(1 << 20).hex().encode()
        assert await _ask(f"{NET}.2", large) == large.upper()

        homes.clear()
        assert await _ask(f"{NET}.2", b"") == b""
    finally:
        await forward.close()
        server.close()
        await server.wait_closed()

    with pytest.raises(ConnectionRefusedError):
        await _ask(f"{NET}.2", b"hello")


@pytest.mark.anyio
async def test_a_dead_home_closes_the_connection() -> None:
    forward = Forward(address=f"{NET}.3", port=PORT, target=lambda: (f"{NET}.4", PORT))
    await forward.open()
    try:
        assert await _ask(f"{NET}.3", b"") == b""
    finally:
        await forward.close()


@pytest.mark.anyio
async def test_closing_drops_open_connections() -> None:
    server = await asyncio.start_server(_echo, f"{NET}.5", PORT)
    forward = Forward(address=f"{NET}.6", port=PORT, target=lambda: (f"{NET}.5", PORT))
    await forward.open()
    reader, writer = await asyncio.open_connection(f"{NET}.6", PORT)
    writer.write(b"a")
    assert await reader.read(1) == b"A"

    await asyncio.wait_for(forward.close(), 10)

    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    server.close()
    await server.wait_closed()
