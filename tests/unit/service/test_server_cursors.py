"""A failed statement does not stop the server's event loop: the defect that `service/server.py` mends, and the mend."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import aiosqlite
import pytest
from aiosqlite.cursor import Cursor

from infraflux.service.server import mend_cursors

WAIT_MS = 4000
"""How long a statement waits for the database; passes in whole only where the defect is."""


@pytest.fixture
def unmended() -> Iterator[None]:
    before = Cursor._execute
    yield
    Cursor._execute = before  # type: ignore[method-assign]


async def write_beside_a_failure(path: Path) -> str:
    """Fail one statement, let the next wait for the database, drop the failure, free the database."""
    async with aiosqlite.connect(path, isolation_level=None) as holder, aiosqlite.connect(path) as waiter:
        await holder.execute("CREATE TABLE note (text)")
        await holder.execute("BEGIN IMMEDIATE")
        await waiter.execute("PRAGMA busy_timeout = 0")
        kept: list[Exception] = []
        cursor = await waiter.cursor()
        try:
            await cursor.execute("INSERT INTO note VALUES ('first')")
        except aiosqlite.OperationalError as error:
            kept.append(error)
        assert kept
        del cursor
        await waiter.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        waiting = asyncio.create_task(waiter.execute("INSERT INTO note VALUES ('second')"))
        await asyncio.sleep(0.5)  # until its thread waits within SQLite
        kept.clear()
        gc.collect()  # the error's traceback and the driver's future hold each other
        await holder.execute("COMMIT")
        try:
            await waiting
        except aiosqlite.OperationalError as failure:
            return str(failure)
        return "written"


def test_the_driver_has_the_defect(tmp_path: Path, unmended: None) -> None:
    """Where this fails, the driver was mended by its makers, and our mend can go."""
    assert asyncio.run(write_beside_a_failure(tmp_path / "a.db")) == "database is locked"


def test_the_mend(tmp_path: Path, unmended: None) -> None:
    mend_cursors()
    assert asyncio.run(write_beside_a_failure(tmp_path / "a.db")) == "written"
