"""What is written stays, whole."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from infraflux_lab.state import (
    SOCKET_PATH_BYTES,
    LabError,
    Store,
    acquire_lock,
    lab_paths,
    lock_holder,
)


def test_a_kill_loses_no_committed_document(tmp_path: Path) -> None:
    code = f"""
        import pathlib
        from infraflux_lab.state import Store
        store = Store(pathlib.Path({str(tmp_path / "s.sqlite3")!r}))
        for number in range(100000):
            store.put("space", str(number), {{"number": number}})
            print(number, flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        last = next(int(line) for line in child.stdout if int(line) >= 200)
        child.send_signal(signal.SIGKILL)
    store = Store(tmp_path / "s.sqlite3")
    found = store.load("space")
    assert {str(number) for number in range(last + 1)} <= set(found)
    assert all(body == {"number": int(key)} for key, body in found.items())
    store.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite3")
    with store.batch():
        store.put("a", "1", {})
        with store.batch():
            store.put("a", "2", {})

    def fail() -> None:
        with store.batch():
            store.drop("a", "1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert set(store.load("a")) == {"1", "2"}
    store.close()


def test_one_lock_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_holder(path) is None
    held = acquire_lock(path)
    assert lock_holder(path) == os.getpid()
    with pytest.raises(LabError, match=f"process {os.getpid()}"):
        acquire_lock(path)
    held.release()
    assert lock_holder(path) is None


@pytest.mark.parametrize("depth", [1, 40], ids=["short", "long"])
def test_the_socket_path_always_fits(depth: int) -> None:
    socket = lab_paths(Path("/tmp") / "/".join(["directory"] * depth)).socket
    assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES
