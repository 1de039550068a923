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

from infraflux_lab.contracts import EtcdAlarm, EtcdError, EtcdFacts, EtcdMember

_TIMEOUT_S = 5.0
# A snapshot is the database followed by its SHA-256; pages are multiples of 512 bytes.
_DIGEST_BYTES = 32
_PAGE_BYTES = 512
_RESTORE_TIMEOUT_S = 60.0
# clientv3.WithRequireLeader, as Talos asks about members: one without a leader says so at once. The gateway hands the
# header on as gRPC metadata.
_NEEDS_LEADER = {"Grpc-Metadata-hasleader": "true"}


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
            await self._lead("/v3/kv/range", {"key": base64.b64encode(b"health").decode()})
        except EtcdError:
            return False
        return True

    async def status(self) -> EtcdFacts:
        """Status of the member; EtcdError without an answer."""
        answer = await self._call("/v3/maintenance/status", {})
        return read_status(answer)

    async def members(self) -> list[EtcdMember]:
        """The member list as the leader has it."""
        answer = await self._lead("/v3/cluster/member/list", {"linearizable": True})
        return [read_member(one) for one in answer.get("members") or ()]

    async def add_learner(self, url: str) -> int:
        """Id of the new member, which does not vote yet."""
        answer = await self._lead("/v3/cluster/member/add", {"peerURLs": [url], "isLearner": True})
        return int(answer["member"]["ID"])

    async def promote(self, member_id: int) -> None:
        """Make a learner a voter; EtcdError until it has caught up."""
        await self._lead("/v3/cluster/member/promote", {"ID": str(member_id)})

    async def remove(self, member_id: int) -> None:
        """Take a member out of the cluster."""
        await self._lead("/v3/cluster/member/remove", {"ID": str(member_id)})

    async def move_peer(self, member_id: int, url: str) -> None:
        """Let a member be known under another peer URL."""
        await self._lead("/v3/cluster/member/update", {"ID": str(member_id), "peerURLs": [url]})

    async def alarms(self, *, disarm: bool = False) -> list[EtcdAlarm]:
        """Alarms that are raised, or those that were cleared now."""
        answer = await self._call("/v3/maintenance/alarm", {"action": "DEACTIVATE" if disarm else "GET"})
        found = answer.get("alarms") or ()
        return [EtcdAlarm(member_id=int(one["memberID"]), kind=str(one.get("alarm", "NONE"))) for one in found]

    async def defragment(self) -> None:
        """Give the space of deleted keys back to the file system."""
        await self._call("/v3/maintenance/defragment", {})

    async def move_leader(self, target: int) -> None:
        """Hand the leadership over; only the leader can."""
        await self._call("/v3/maintenance/transfer-leadership", {"targetID": str(target)})

    async def snapshot(self) -> AsyncIterator[bytes]:
        """A consistent copy of the database with its checksum, chunk by chunk."""
        try:
            async with self._session.post("/v3/maintenance/snapshot", json={}) as answer:
                await _raise_for(answer)
                async for line in answer.content:
                    yield _chunk(json.loads(line))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EtcdError(f"the snapshot broke off: {error}") from error

    async def _lead(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A call that is refused at once where there is no leader."""
        return await self._call(path, body, headers=_NEEDS_LEADER)

    async def _call(
        self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            async with self._session.post(path, json=body, headers=headers) as answer:
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
        storage_version=str(answer.get("storageVersion", "")),
        is_learner=bool(answer.get("isLearner", False)),
        errors=tuple(str(error) for error in answer.get("errors") or ()),
    )


def read_member(entry: Mapping[str, Any]) -> EtcdMember:
    """One member of the JSON gateway's list."""
    return EtcdMember(
        id=int(entry["ID"]),
        name=str(entry.get("name", "")),
        peer_urls=tuple(entry.get("peerURLs") or ()),
        client_urls=tuple(entry.get("clientURLs") or ()),
        is_learner=bool(entry.get("isLearner", False)),
    )


def check_snapshot(snapshot: bytes) -> None:
    """Raise EtcdError unless `snapshot` is a whole etcd snapshot: right length, right checksum."""
    if len(snapshot) % _PAGE_BYTES != _DIGEST_BYTES:
        raise EtcdError(f"not an etcd snapshot: {len(snapshot)} bytes, of which none are a checksum")
    if hashlib.sha256(snapshot[:-_DIGEST_BYTES]).digest() != snapshot[-_DIGEST_BYTES:]:
        raise EtcdError("the snapshot is damaged: its checksum does not match")


async def restore(
    *, etcdutl: Path, snapshot: Path, data_dir: Path, name: str, peer_url: str, checked: bool = True
) -> None:
    """Make a data directory of one member from a snapshot file; the directory appears whole or not at all.

    EtcdError carries the tool's own words.
    """
    unfinished = data_dir.with_name(f"{data_dir.name}.restoring")
    await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
    argv = [str(etcdutl), "snapshot", "restore", str(snapshot), f"--data-dir={unfinished}"]
    argv += [f"--name={name}", f"--initial-cluster={name}={peer_url}"]
    argv += [f"--initial-advertise-peer-urls={peer_url}"]
    argv += [] if checked else ["--skip-hash-check"]
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
    if answer.status < 400:
        return
    text = await answer.text()
    try:
        message = str(json.loads(text).get("message") or text)
    except ValueError:
        message = text
    raise EtcdError(message[:300])
