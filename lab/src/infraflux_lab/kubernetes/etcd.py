"""The lab's client of its etcd, over the JSON gateway every etcd serves beside gRPC.

https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
"""

import asyncio
import base64
import hashlib
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from infraflux_lab.contracts import EtcdFacts
from infraflux_lab.kubernetes.programs import ETCD_MEMBER

_TIMEOUT_S = 5.0
# A snapshot is the database followed by its SHA-256; pages are multiples of 512 bytes.
_DIGEST_BYTES = 32
_PAGE_BYTES = 512
_RESTORE_TIMEOUT_S = 60.0


class EtcdError(Exception):
    """etcd refused or gave no answer."""


class EtcdClient:
    """Status, membership and snapshots of one etcd."""

    def __init__(self, *, server: str, context: ssl.SSLContext) -> None:
        """Opens no connection yet; must be made inside the event loop."""
        self._session = aiohttp.ClientSession(
            base_url=server,
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=_TIMEOUT_S, sock_connect=_TIMEOUT_S),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ready(self) -> bool:
        """Whether the member answers reads that need its leader."""
        try:
            await self._call("/v3/kv/range", {"key": base64.b64encode(b"health").decode()})
        except EtcdError:
            return False
        return True

    async def status(self) -> EtcdFacts:
        """Status of the member; EtcdError without an answer."""
        answer = await self._call("/v3/maintenance/status", {})
        return read_status(answer)

    async def move_peer(self, url: str) -> bool:
        """Let the only member be known under `url`; False where it is already."""
        members = (await self._call("/v3/cluster/member/list", {}))["members"]
        if [url] == members[0].get("peerURLs"):
            return False
        await self._call("/v3/cluster/member/update", {"ID": members[0]["ID"], "peerURLs": [url]})
        return True

    async def snapshot(self) -> AsyncIterator[bytes]:
        """A consistent copy of the database with its checksum, chunk by chunk."""
        try:
            async with self._session.post("/v3/maintenance/snapshot", json={}) as answer:
                await _raise_for(answer)
                async for line in answer.content:
                    yield _chunk(json.loads(line))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EtcdError(f"the snapshot broke off: {error}") from error

    async def _call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            async with self._session.post(path, json=body) as answer:
                await _raise_for(answer)
                result: dict[str, Any] = await answer.json()
                return result
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EtcdError(f"no answer to {path}: {error or type(error).__name__}") from error


def read_status(answer: Mapping[str, Any]) -> EtcdFacts:
    """The JSON gateway writes 64-bit numbers as strings and leaves zeros out."""

    def number(key: str, source: Mapping[str, Any] = answer) -> int:
        return int(source.get(key, 0))

    header = answer["header"]
    return EtcdFacts(
        member_id=number("member_id", header),
        cluster_id=number("cluster_id", header),
        db_size_bytes=number("dbSize"),
        db_size_in_use_bytes=number("dbSizeInUse"),
        leader=number("leader"),
        raft_index=number("raftIndex"),
        raft_term=number("raftTerm"),
        raft_applied_index=number("raftAppliedIndex"),
        version=str(answer.get("version", "")),
    )


def check_snapshot(snapshot: bytes) -> None:
    """Raise EtcdError unless `snapshot` is a whole etcd snapshot: right length, right checksum."""
    if len(snapshot) % _PAGE_BYTES != _DIGEST_BYTES:
        raise EtcdError(f"not an etcd snapshot: {len(snapshot)} bytes, of which none are a checksum")
    if hashlib.sha256(snapshot[:-_DIGEST_BYTES]).digest() != snapshot[-_DIGEST_BYTES:]:
        raise EtcdError("the snapshot is damaged: its checksum does not match")


async def restore(*, etcdutl: Path, snapshot: Path, data_dir: Path, peer_url: str) -> None:
    """Make a data directory of one member from a snapshot file; the directory appears whole or not at all.

    EtcdError carries the tool's own words.
    """
    unfinished = data_dir.with_name(f"{data_dir.name}.restoring")
    await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
    argv = [str(etcdutl), "snapshot", "restore", str(snapshot), f"--data-dir={unfinished}"]
    argv += [f"--name={ETCD_MEMBER}", f"--initial-cluster={ETCD_MEMBER}={peer_url}"]
    argv += [f"--initial-advertise-peer-urls={peer_url}"]
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), _RESTORE_TIMEOUT_S)
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise EtcdError(f"etcdutl could not restore the snapshot: {' '.join(last)}")
    unfinished.replace(data_dir)


def _chunk(message: Mapping[str, Any]) -> bytes:
    if "error" in message:
        raise EtcdError(str(message["error"].get("message", "unknown error")))
    return base64.b64decode(message["result"].get("blob", ""))


async def _raise_for(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        raise EtcdError(f"{answer.status}: {(await answer.text())[:300]}")
