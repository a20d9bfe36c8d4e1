"""Many rows in one statement, on both databases.

SQLite runs a prepared statement over the rows in process; PostgreSQL gets one array per column and
unnests them, which is one round trip however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table

Row = Mapping[str, Any]


def insert(conn: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows; all have the same keys."""
    _run(conn, table, rows, "")


def insert_new(conn: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows that are not there yet."""
    _run(conn, table, rows, "ON CONFLICT DO NOTHING")


def upsert(
    conn: Connection, table: Table, rows: Sequence[Row], *, keys: Sequence[str] | None = None
) -> None:
    """Insert the rows, replacing those with the same ``keys`` (the primary key by default)."""
    if not rows:
        return
    names = keys or [column.name for column in table.primary_key]
    rest = [name for name in rows[0] if name not in names]
    changes = ", ".join(f"{_q(name)} = excluded.{_q(name)}" for name in rest)
    action = f"DO UPDATE SET {changes}" if rest else "DO NOTHING"
    _run(conn, table, rows, f"ON CONFLICT ({', '.join(map(_q, names))}) {action}")


def chunks(values: Iterable[str], size: int = 900) -> list[list[str]]:
    """The values in lists no longer than what one SQLite statement takes."""
    items = list(values)
    return [items[i : i + size] for i in range(0, len(items), size)]


def _run(conn: Connection, table: Table, rows: Sequence[Row], conflict: str) -> None:
    if not rows:
        return
    names = tuple(rows[0])
    bind = _binders(table, names, conn.dialect)
    statement = _statement(table, names, conflict, conn.dialect)
    if conn.dialect.name == "sqlite":
        values = [tuple(b(row[n]) if b else row[n] for n, b in bind) for row in rows]
        conn.exec_driver_sql(statement, values)
    else:
        arrays = tuple([b(row[n]) if b else row[n] for row in rows] for n, b in bind)
        conn.exec_driver_sql(statement, arrays)


def _binders(table: Table, names: Sequence[str], dialect: Dialect) -> list[tuple[str, Any]]:
    return [(name, table.c[name].type.bind_processor(dialect)) for name in names]


@lru_cache(maxsize=256)
def _statement(table: Table, names: tuple[str, ...], conflict: str, dialect: Dialect) -> str:
    columns = ", ".join(map(_q, names))
    into = f"INSERT INTO {_q(table.name)} ({columns})"
    if dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        return f"{into} VALUES ({marks}) {conflict}"
    arrays = ", ".join(f"%s::{_array_type(table, name, dialect)}" for name in names)
    return f"{into} SELECT * FROM unnest({arrays}) {conflict}"


def _array_type(table: Table, name: str, dialect: Dialect) -> str:
    compiled = table.c[name].type.dialect_impl(dialect).compile(dialect)
    return compiled.partition(" COLLATE")[0].replace("BIGSERIAL", "BIGINT") + "[]"


def _q(name: str) -> str:
    return f'"{name}"'
