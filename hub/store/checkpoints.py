"""How far each stream was pulled, and when it is due again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, delete, literal, select, update

from hub.store import bulk, leases
from hub.store.schema import EPOCH, STOPPED, Instant, checkpoint
from hub.store.schema import connection as connection_table


def ensure(conn: Connection, connection: str, streams: list[str]) -> None:
    """Make rows for these streams, due at once, where there are none."""
    rows = [{"connection": connection, "stream": stream, "due_at": EPOCH} for stream in streams]
    bulk.insert_new(conn, checkpoint, rows)


def settle(conn: Connection, connection: str, streams: list[str]) -> None:
    """Have rows for these streams and no others: what is not pulled is neither due nor late."""
    mine = checkpoint.c.connection == connection
    conn.execute(delete(checkpoint).where(mine, checkpoint.c.stream.not_in(streams)))
    ensure(conn, connection, streams)


def get(conn: Connection, connection: str, stream: str) -> dict[str, Any]:
    """The checkpoint of one stream."""
    row = conn.execute(select(checkpoint).where(*_is(connection, stream))).mappings().first()
    return dict(row) if row else {"cursor": None, "failures": 0, "rows": 0}


def every(conn: Connection) -> list[dict[str, Any]]:
    """All checkpoints."""
    rows = conn.execute(select(checkpoint).order_by(checkpoint.c.connection, checkpoint.c.stream))
    return [dict(row) for row in rows.mappings()]


def all_loaded(conn: Connection, streams: Iterable[str]) -> bool:
    """Whether each of these connection/stream was read to its end at least once."""
    loaded = select(checkpoint.c.connection + "/" + checkpoint.c.stream).where(
        checkpoint.c.completed_at.is_not(None)
    )
    return set(streams) <= set(conn.execute(loaded).scalars())


def due(conn: Connection) -> list[tuple[str, str]]:
    """Streams whose time has come, the longest waiting first."""
    rows = conn.execute(
        select(checkpoint.c.connection, checkpoint.c.stream)
        .join(connection_table, connection_table.c.name == checkpoint.c.connection)
        .where(checkpoint.c.due_at <= leases.now(), connection_table.c.state.not_in(STOPPED))
        .order_by(checkpoint.c.due_at)
    )
    return [(row.connection, row.stream) for row in rows]


def begin(conn: Connection, connection: str, stream: str) -> None:
    """A read from the beginning starts: its rows are counted until it reaches the end."""
    _set(conn, connection, stream, full_rows=0)


def advance(conn: Connection, connection: str, stream: str, cursor: str, rows: int) -> None:
    """Move the cursor behind a page, in the transaction that stores its rows."""
    _set(
        conn,
        connection,
        stream,
        cursor=cursor,
        rows=checkpoint.c.rows + rows,
        full_rows=checkpoint.c.full_rows + rows,  # null stays null: it began at a checkpoint
        advanced_at=leases.now(),
        failures=0,  # those in a row: it got on
    )


def complete(
    conn: Connection, connection: str, stream: str, every_s: float, began: datetime
) -> int | None:
    """The pull reached the end; it starts again after ``every_s``.

    When there was news since it ``began``, it starts again at once: that news may have come behind
    the page that was asked for last.

    Returns how many rows it saw from the beginning to the end; None when it began elsewhere.
    """
    now = leases.now()
    counted = select(checkpoint.c.full_rows).where(*_is(connection, stream))
    seen = conn.execute(counted).scalar()
    stirred = checkpoint.c.stirred_at >= began
    due_at = case(
        (stirred, checkpoint.c.stirred_at),
        else_=literal(now + timedelta(seconds=every_s), Instant()),
    )
    word = case((stirred, checkpoint.c.word), else_="")
    ended = {"completed_at": now, "full_rows": None, "failures": 0, "error": ""}
    _set(conn, connection, stream, due_at=due_at, word=word, **ended)
    return seen


def wait(conn: Connection, connection: str, stream: str, after_s: float, why: str) -> None:
    """It is not time yet to go on; that is no failure."""
    due_at = leases.now() + timedelta(seconds=after_s)
    _set(conn, connection, stream, due_at=due_at, error=why[:500])


def postpone(conn: Connection, connection: str, stream: str, after_s: float, error: str) -> None:
    """The pull failed; it goes on from its cursor after ``after_s``."""
    due_at = leases.now() + timedelta(seconds=after_s)
    failures = checkpoint.c.failures + 1
    _set(conn, connection, stream, due_at=due_at, failures=failures, error=error[:500])


def restart(conn: Connection, connection: str, stream: str | None = None) -> None:
    """Forget the cursor: the next pull starts from the beginning, at once.

    That its history is known is not forgotten: rules go on, and what did not change is no news.
    """
    chosen = update(checkpoint).where(checkpoint.c.connection == connection)
    if stream:
        chosen = chosen.where(checkpoint.c.stream == stream)
    conn.execute(chosen.values(cursor=None, due_at=EPOCH))


def hasten(conn: Connection, connection: str, stream: str | None = None) -> None:
    """Make these streams due now."""
    chosen = update(checkpoint).where(checkpoint.c.connection == connection)
    if stream:
        chosen = chosen.where(checkpoint.c.stream == stream)
    conn.execute(chosen.values(due_at=EPOCH))


def stir(conn: Connection, connection: str, stream: str, word: str) -> None:
    """There is news in this stream: make it due now, unless it rests after a failure.

    The word is kept until a pull that began afterwards reaches the end.
    """
    now = leases.now()
    waits = and_(checkpoint.c.failures == 0, checkpoint.c.due_at > now)
    due_at = case((waits, literal(now, Instant())), else_=checkpoint.c.due_at)
    _set(conn, connection, stream, due_at=due_at, stirred_at=now, word=word)


def _is(connection: str, stream: str) -> tuple[Any, Any]:
    return checkpoint.c.connection == connection, checkpoint.c.stream == stream


def _set(conn: Connection, connection: str, stream: str, **values: Any) -> None:
    conn.execute(update(checkpoint).where(*_is(connection, stream)).values(**values))
