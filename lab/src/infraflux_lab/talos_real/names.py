"""A name server for the node networks: registries' names lead to the lab, every other name does not exist.

The part of RFC 1035 that stub resolvers use: one question, answered by at most one address.
"""

import asyncio
import struct
from collections.abc import Collection
from ipaddress import IPv4Address

PORT = 53
_HEADER = struct.Struct("!6H")
_A, _IN = 1, 1
_RESPONSE = 0x8180  # an answer, recursion desired and available
_NO_SUCH_NAME = 3
TTL_S = 60


def answer(query: bytes, *, names: Collection[str], address: IPv4Address) -> bytes | None:
    """The reply to one query; None for what is none."""
    try:
        number, flags, questions, *_ = _HEADER.unpack_from(query)
        name, at = _read_name(query, _HEADER.size)
        kind, family = struct.unpack_from("!2H", query, at)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    if flags & 0x8000 or questions != 1:
        return None
    question = query[_HEADER.size : at + 4]
    if name not in names:
        return _HEADER.pack(number, _RESPONSE | _NO_SUCH_NAME, 1, 0, 0, 0) + question
    if (kind, family) != (_A, _IN):  # the name exists, and has no such record
        return _HEADER.pack(number, _RESPONSE, 1, 0, 0, 0) + question
    record = struct.pack("!HHHIH", 0xC000 | _HEADER.size, _A, _IN, TTL_S, 4) + address.packed
    return _HEADER.pack(number, _RESPONSE, 1, 1, 0, 0) + question + record


def _read_name(query: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


class NameServer(asyncio.DatagramProtocol):
    """Answers on one gateway address, which is also what the names lead to."""

    def __init__(self, address: str, names: Collection[str]) -> None:
        self._address, self._names = IPv4Address(address), names
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self) -> None:
        """Open the port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(str(self._address), PORT))

    def close(self) -> None:
        """Close the port."""
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        """One query."""
        reply = answer(data, names=self._names, address=self._address)
        if reply and self._transport:
            self._transport.sendto(reply, addr)
