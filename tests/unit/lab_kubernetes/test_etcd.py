import hashlib
import sys
from pathlib import Path

import pytest

from infraflux_lab.kubernetes.etcd import EtcdError, check_snapshot, read_member, read_status, restore

DATABASE = b"\x01" * 4096
SNAPSHOT = DATABASE + hashlib.sha256(DATABASE).digest()


def test_a_whole_snapshot() -> None:
    check_snapshot(SNAPSHOT)


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (DATABASE, "not an etcd snapshot"),
        (SNAPSHOT[512:], "damaged"),
        (SNAPSHOT[:-1] + b"?", "damaged"),
        (b"", "not an etcd snapshot"),
    ],
    ids=["no checksum", "beginning lost", "checksum changed", "empty"],
)
def test_a_broken_snapshot(snapshot: bytes, words: str) -> None:
    with pytest.raises(EtcdError, match=words):
        check_snapshot(snapshot)


def test_status_of_the_json_gateway() -> None:
    # As etcd 3.6.14 writes it: 64-bit numbers are strings, zeros are left out.
    answer = {
        "header": {"cluster_id": "14841639068965178418", "member_id": "10276657743932975437", "raft_term": "2"},
        "version": "3.6.14",
        "dbSize": "1056768",
        "leader": "10276657743932975437",
        "raftIndex": "8",
        "raftTerm": "2",
        "raftAppliedIndex": "8",
    }

    facts = read_status(answer)

    assert facts.member_id == facts.leader == 10276657743932975437
    assert (facts.db_size_bytes, facts.db_size_in_use_bytes) == (1056768, 0)
    assert facts.version == "3.6.14"


def test_members_of_the_json_gateway() -> None:
    # A member that was added and has not started has no name; `isLearner` is left out where it is false.
    joining = {"ID": "9372538179322589801", "peerURLs": ["https://127.78.1.12:2380"], "isLearner": True}
    voter = {
        "ID": "10276657743932975437",
        "name": "cp-1",
        "peerURLs": ["https://127.78.1.11:2380"],
        "clientURLs": ["https://127.78.1.11:2379"],
    }
    assert read_member(joining).name == ""
    assert (read_member(joining).is_learner, read_member(voter).is_learner) == (True, False)
    assert read_member(voter).client_urls == ("https://127.78.1.11:2379",)


def _tool(tmp_path: Path, body: str) -> Path:
    tool = tmp_path / "etcdutl"
    tool.write_text(f"#!{sys.executable}\nimport sys, pathlib\n{body}\n")
    tool.chmod(0o700)
    return tool


@pytest.mark.anyio
async def test_a_restore_appears_whole(tmp_path: Path) -> None:
    tool = _tool(
        tmp_path,
        "target = next(a for a in sys.argv if a.startswith('--data-dir=')).partition('=')[2]\n"
        "pathlib.Path(target, 'member').mkdir(parents=True)",
    )

    await restore(
        etcdutl=tool,
        snapshot=tmp_path / "s",
        data_dir=tmp_path / "etcd",
        name="cp-1",
        peer_url="https://127.78.1.11:2380",
    )

    assert (tmp_path / "etcd" / "member").is_dir()
    assert not (tmp_path / "etcd.restoring").exists()


@pytest.mark.anyio
async def test_a_failed_restore_leaves_no_data(tmp_path: Path) -> None:
    tool = _tool(tmp_path, "print('Error: expected sha256'); sys.exit(1)")

    with pytest.raises(EtcdError, match="expected sha256"):
        await restore(
            etcdutl=tool, snapshot=tmp_path / "s", data_dir=tmp_path / "etcd", name="cp-1", peer_url="https://x:2380"
        )

    assert not (tmp_path / "etcd").exists()
