"""Many rows in one statement, on both databases.

SQLite runs a prepared statement over the rows in process; PostgreSQL gets one array per column and
unnests them, which is one round trip however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Table,
    Text,
    literal,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from hub.store.schema import Instant, to_us

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


def add(conn: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows; where there is one with the same primary key, the rest is added to it."""
    if not rows:
        return
    names = [column.name for column in table.primary_key]
    rest = [name for name in rows[0] if name not in names]
    sums = ", ".join(f"{_q(n)} = {_q(table.name)}.{_q(n)} + excluded.{_q(n)}" for n in rest)
    _run(conn, table, rows, f"ON CONFLICT ({', '.join(map(_q, names))}) DO UPDATE SET {sums}")


def chunks(values: Iterable[str], size: int = 5000) -> list[list[str]]:
    """The values in lists for ``among``; none at all when there are no values."""
    items = list(values)
    return [items[i : i + size] for i in range(0, len(items), size)]


def told(values: Iterable[str]) -> str:
    """The values as ``among`` takes them for a parameter."""
    return orjson.dumps(list(values)).decode()


def among(
    column: ColumnElement[Any], values: Sequence[str] | BindParameter[str]
) -> ColumnElement[bool]:
    """Whether a text column has one of the values, or of those ``told`` for a parameter.

    They travel as one parameter, so that the statement is the same however many they are, and both
    databases parse and plan it once. ``IN`` with 500 parameters takes PostgreSQL 8 times as long.
    """
    is_parameter = isinstance(values, BindParameter)
    return _Among(column, values if is_parameter else literal(told(values), Text()))


class _Among(FunctionElement[bool]):
    # No type on purpose: to a boolean SQLAlchemy would add "= 1", and SQLite would scan the table.
    inherit_cache = True


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: Any, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} = ANY(ARRAY(SELECT json_array_elements_text(CAST({values} AS json))))"


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: Any, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


def _run(conn: Connection, table: Table, rows: Sequence[Row], conflict: str) -> None:
    if not rows:
        return
    names = tuple(rows[0])
    statement = _statement(table, names, conflict, conn.dialect)
    columns = tuple(_column(table, name, rows) for name in names)
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql(statement, list(zip(*columns, strict=True)))
    else:
        conn.exec_driver_sql(statement, tuple(map(_array, columns)))


def _array(values: list[Any]) -> list[Any] | str:
    """Whole numbers in one text: the driver would pack each by itself."""
    return integers(values) if set(map(type, values)) == {int} else values


def integers(values: Iterable[int]) -> str:
    """The numbers as PostgreSQL writes an array of them."""
    return f"{{{','.join(map(str, values))}}}"


def _column(table: Table, name: str, rows: Sequence[Row]) -> list[Any]:
    """The values of a column as a driver takes them; only instants are not already."""
    values = [row[name] for row in rows]
    if not isinstance(table.c[name].type, Instant):
        return values
    told = {at: None if at is None else to_us(at) for at in set(values)}  # mostly one for all
    return [told[at] for at in values]


@lru_cache(maxsize=256)
def _statement(table: Table, names: tuple[str, ...], conflict: str, dialect: Dialect) -> str:
    columns = ", ".join(map(_q, names))
    into = f"INSERT INTO {_q(table.name)} ({columns})"
    if dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        return f"{into} VALUES ({marks}) {conflict}"
    arrays = ", ".join(f"%b::{_array_type(table, name, dialect)}" for name in names)
    return f"{into} SELECT * FROM unnest({arrays}) {conflict}"


def _array_type(table: Table, name: str, dialect: Dialect) -> str:
    compiled = table.c[name].type.dialect_impl(dialect).compile(dialect)
    return compiled.partition(" COLLATE")[0].replace("BIGSERIAL", "BIGINT") + "[]"


def _q(name: str) -> str:
    return f'"{name}"'
