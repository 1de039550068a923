"""A lock is broken only where its holder is proven dead."""

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infraflux.adapters.terraform.lock import (
    Break,
    Holder,
    HolderRecords,
    Keep,
    LockInfo,
    StateLocked,
    judge_lock,
    parse_lock,
)
from infraflux.adapters.terraform.stack import Stack
from infraflux.adapters.terraform.workspace import Place, Tool

NOW = datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)
HERE = Holder(pid=1, started=0.0, host="box", boot_id="boot-2", recorded=NOW.isoformat())
DEAD = replace(HERE, pid=41)
LIVING = replace(HERE, pid=42)
LATER = replace(HERE, pid=41, recorded=(NOW + timedelta(minutes=5)).isoformat())
LOCK = LockInfo(id="l-1", who="root@box", created="2026-11-23 09:00:01.123456789 +0000 UTC")


@pytest.mark.parametrize(
    ("lock", "holders", "expected"),
    [
        (LOCK, (DEAD,), Break("process 41 on this machine is gone")),
        (LOCK, (replace(LIVING, boot_id="boot-1"),), Break("process 42 on this machine is gone")),
        (LOCK, (DEAD, LIVING), Keep("process 42 on this machine is at work")),
        (LOCK, (LIVING,), Keep("process 42 on this machine is at work")),
        (LOCK, (), Keep("no record says which process took it")),
        (LOCK, (LATER,), Keep("no record says which process took it")),
        (LOCK, (replace(DEAD, host="other"),), Keep("no record says which process took it")),
        (
            replace(LOCK, who="root@other"),
            (DEAD,),
            Keep("the lock was taken on other; only that machine can prove its end"),
        ),
        (
            replace(LOCK, who="somebody"),
            (DEAD,),
            Keep("the lock was taken on an unknown machine; only that machine can prove its end"),
        ),
        (replace(LOCK, created="yesterday"), (DEAD,), Keep("no record says which process took it")),
    ],
    ids=[
        *("dead", "dead-by-restart", "one-of-two-lives", "lives", "no-record", "recorded-after-the-lock"),
        *("recorded-elsewhere", "taken-elsewhere", "taken-who-knows-where", "no-time"),
    ],
)
def test_judge_lock(lock: LockInfo, holders: tuple[Holder, ...], expected: Break | Keep) -> None:
    assert judge_lock(lock, holders=holders, here=HERE, alive=lambda holder: holder.pid == LIVING.pid) == expected


def test_a_lock_is_read_from_terraforms_message() -> None:
    text = textwrap.dedent("""
        Error message: resource temporarily unavailable
        Lock Info:
          ID:        8f1d3a8e-9c8b-4bb1-5a41-7f6b1a0a2b11
          Path:      terraform.tfstate
          Operation: OperationTypeApply
          Who:       root@box
          Version:   1.11.4
          Created:   2026-11-23 08:32:15.123456789 +0000 UTC
          Info:

        Terraform acquires a state lock to protect the state from being written
        by multiple users at the same time.
    """)
    lock = parse_lock(text)
    assert lock == LockInfo(
        id="8f1d3a8e-9c8b-4bb1-5a41-7f6b1a0a2b11",
        who="root@box",
        operation="OperationTypeApply",
        created="2026-11-23 08:32:15.123456789 +0000 UTC",
    )
    assert parse_lock("Error: no such thing") is None


def test_records_of_the_dead_are_forgotten_and_mine_lasts_as_long_as_its_context(tmp_path: Path) -> None:
    records = HolderRecords(tmp_path)
    (tmp_path / "dead.json").write_text(json.dumps({**vars(Holder.myself()), "pid": dead_pid()}))
    with records.me():
        assert len(records.read()) == 2
        records.forget_dead()
        assert [holder.pid for holder in records.read()] == [Holder.myself().pid]
    assert records.read() == ()


FAKE = """\
#!{python}
# Stands for Terraform on a backend that keeps a dead holder's lock: `plan` fails until `force-unlock` names its id.
import json, pathlib, sys
lock = pathlib.Path(__file__).with_name("lock.json")
words = [word for word in sys.argv[1:] if not word.startswith("-")]
if words[0] == "force-unlock":
    assert json.loads(lock.read_text())["ID"] == words[1]
    lock.unlink()
elif words[0] == "plan" and lock.exists():
    detail = "Lock Info:\\n" + "".join(f"  {{k}}: {{v}}\\n" for k, v in json.loads(lock.read_text()).items())
    print(json.dumps({{"type": "diagnostic", "diagnostic": {{
        "severity": "error", "summary": "Error acquiring the state lock", "detail": detail}}}}))
    sys.exit(1)
elif words[0] == "plan":
    out = next(word for word in sys.argv if word.startswith("-out="))
    pathlib.Path(out.removeprefix("-out=")).write_text("plan")
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    binary = tmp_path / "terraform"
    binary.write_text(FAKE.format(python=sys.executable))
    binary.chmod(0o755)
    (tmp_path / "source" / "cluster").mkdir(parents=True)
    (tmp_path / "source" / "modules").mkdir()
    (tmp_path / "source" / "cluster" / "main.tf").touch()
    place = Place(source=tmp_path / "source", state=tmp_path / "state", environment="dev", name="dev-1")
    return Stack(place=place, tool=Tool(binary=binary), label="dev/dev-1", lock_wait_s=0)


def dead_pid() -> int:
    """A pid that was ours a moment ago."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(ended.stdout)


def lock_of(holder: Holder, directory: Path) -> None:
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.123456789 +0000 UTC"
    (directory / "lock.json").write_text(json.dumps({"ID": "l-1", "Who": f"root@{holder.host}", "Created": created}))
    holders = directory / "state" / "holders"
    holders.mkdir(parents=True)
    (holders / "one.json").write_text(json.dumps(vars(holder)))


def test_the_lock_of_a_dead_process_is_broken(stack: Stack, tmp_path: Path) -> None:
    lock_of(replace(Holder.myself(), pid=dead_pid()), tmp_path)
    stack.plan("{}")
    assert not (tmp_path / "lock.json").exists()


def test_the_lock_of_a_living_process_is_kept(stack: Stack, tmp_path: Path) -> None:
    lock_of(Holder.myself(), tmp_path)
    with pytest.raises(StateLocked, match="is at work"):
        stack.plan("{}")
    assert (tmp_path / "lock.json").exists()
