"""Two transactions at once on SQLite: the defect that `service/server.py` mends, and the mend."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration

from infraflux.service.server import take_turns


@pytest.fixture
def unmended() -> Iterator[None]:
    before = AioSqliteConfiguration.begin_transaction
    yield
    AioSqliteConfiguration.begin_transaction = before  # type: ignore[method-assign]


async def count_twice(path: Path) -> list[str]:
    """Two tasks that read a number and write one more; how each ended, and the number."""
    config = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{path}", timeout=5)
    engine = await config.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE counter (value INTEGER)"))
        await connection.execute(sa.text("INSERT INTO counter VALUES (0)"))
    have_read = 0

    async def count() -> str:
        nonlocal have_read
        session = await config.session(engine)
        try:
            async with session, config.begin_transaction(session):
                value = (await session.execute(sa.text("SELECT value FROM counter"))).scalar_one()
                have_read += 1
                for _ in range(20):  # the other one reads too, where it may
                    if have_read < 2:
                        await asyncio.sleep(0.05)
                await session.execute(sa.text("UPDATE counter SET value = :value"), {"value": value + 1})
        except sa.exc.OperationalError as error:
            return str(error.orig)
        return "written"

    ended = await asyncio.gather(count(), count())
    session = await config.session(engine)
    async with session:
        value = (await session.execute(sa.text("SELECT value FROM counter"))).scalar_one()
    await engine.dispose()
    return [*sorted(ended), str(value)]


def test_prefect_has_the_defect(tmp_path: Path, unmended: None) -> None:
    """Where this fails, Prefect was mended by its makers, and our mend can go."""
    assert asyncio.run(count_twice(tmp_path / "a.db")) == ["database is locked", "written", "1"]


def test_the_mend(tmp_path: Path, unmended: None) -> None:
    take_turns()
    assert asyncio.run(count_twice(tmp_path / "a.db")) == ["written", "written", "2"]


async def read_within(path: Path) -> str:
    """A session that is opened while a transaction is open, as parts of the server do."""
    config = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{path}", timeout=5)
    engine = await config.engine()
    outer, inner = await config.session(engine), await config.session(engine)
    async with outer, config.begin_transaction(outer), inner:
        found = (await inner.execute(sa.text("SELECT 'read'"))).scalar_one()
    assert SQLITE_BEGIN_MODE.get() is None
    await engine.dispose()
    return str(found)


def test_what_is_read_within_a_transaction_does_not_wait_for_it(tmp_path: Path, unmended: None) -> None:
    take_turns()
    assert asyncio.run(asyncio.wait_for(read_within(tmp_path / "a.db"), timeout=30)) == "read"
