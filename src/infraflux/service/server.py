"""Prefect's server with two defects of its work with SQLite mended; with Postgres both mends rest.

See docs/adr/0014-the-server-takes-turns-on-sqlite.md, also for what was measured.
"""

import runpy
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiosqlite.cursor import Cursor


def mend_cursors() -> None:
    """Let a cursor whose statement failed, or whose task was cancelled, be closed by its connection's thread.

    Such a cursor stays in the traceback of the error. Whoever drops the last reference to that frees the cursor in a
    thread of his own, and freeing asks SQLite for the connection's mutex. In the server that thread is the event loop,
    and the mutex belongs to a thread that waits up to 60 s for the database, which a task of the stopped event loop
    holds: every client sees a minute of silence. Freeing what is closed asks for nothing.
    """

    async def execute(self: Cursor, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        connection: Any = self._conn
        try:
            return await connection._execute(function, *args, **kwargs)
        except BaseException:
            # The bound method keeps the cursor alive until it is closed.
            connection._tx.put_nowait((None, self._cursor.close))
            raise

    Cursor._execute = execute  # type: ignore[assignment,method-assign]


def take_turns() -> None:
    """Let a transaction that may write take the database's write lock when it begins, and wait for it there.

    Prefect begins with reading; a transaction that wants to write afterwards, when another one has written meanwhile,
    is refused at once however long it would wait (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/rescode.html): HTTP 503.
    """
    from prefect.server.database import configurations  # noqa: PLC0415 - seconds, and the mend above needs none of it

    mode = configurations.SQLITE_BEGIN_MODE

    @asynccontextmanager
    async def begin_transaction(_self: Any, session: Any, **_how: bool) -> AsyncGenerator[Any]:
        token = mode.set("IMMEDIATE")
        try:
            async with session.begin() as transaction:
                await session.connection()
                # Begun. A session that is opened within must not ask for what this one holds.
                mode.set("DEFERRED")
                yield transaction
        finally:
            mode.reset(token)

    configurations.AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[method-assign,assignment]


def main() -> None:
    """`prefect server start`."""
    mend_cursors()
    take_turns()
    sys.argv = ["prefect", "server", "start"]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
