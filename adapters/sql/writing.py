"""Rows inserted and updated by key, once each; values are bound, names come from the table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, MetaData, Row, Table, exc, insert, select, update

from adapters.sql.kinds import code_of
from adapters.sql.source import Source
from hub.sdk import Change, ConflictError, Receipt, RejectedError, id_of, instant, plain


def push(conn: Connection, source: Source, change: Change) -> Receipt:
    """Write within a transaction; what its commit loses is found again by key or marker.

    Raises:
        ConflictError: the row was changed meanwhile, or is there with other values.
        RejectedError: the database refuses the values, or the table has no such column.
    """
    told = source.told
    table = Table(told.table, MetaData(), schema=told.schema_ or None, autoload_with=conn)
    values = _values(table, change.values, source.zone)
    try:
        if change.id is not None:
            return _update(conn, source, table, change, values)
        return _create(conn, source, table, change, values)
    except (exc.IntegrityError, exc.DataError) as fault:
        raise RejectedError(
            f"the database refused the row with {code_of(fault) or type(fault).__name__}",
            hint="A value is missing, too long, already there, or names a row that is not.",
        ) from None


def _update(
    conn: Connection, source: Source, table: Table, change: Change, values: Mapping[str, Any]
) -> Receipt:
    id_ = str(change.id)
    keys = source.values_of(conn, id_)
    same = [table.c[n] == v for n, v in zip(source.told.key, keys or (), strict=False)]
    row = conn.execute(select(table).where(*same).with_for_update()).first() if keys else None
    if row is None:
        raise RejectedError(f"there is no row {id_} in {source.name}")
    now = source.version_of(dict(row._mapping))
    if change.version and now > change.version:
        raise ConflictError(f"row {id_} of {source.name} was changed meanwhile")
    if values:
        conn.execute(update(table).where(*same).values(values))
    return Receipt(id=id_)


def _create(
    conn: Connection, source: Source, table: Table, change: Change, values: Mapping[str, Any]
) -> Receipt:
    told = source.told
    if told.marker:
        ours = _column(table, told.marker)
        known = select(table).where(ours == (change.marker or change.key))
        values = {**values, told.marker: change.marker or change.key}
    elif all(name in values for name in told.key):
        known = select(table).where(*(table.c[name] == values[name] for name in told.key))
    else:
        raise RejectedError(
            f"a new row of {source.name} could not be found again after a lost answer",
            hint="Name a text column as its marker, or let the mapping write its key.",
        )
    row = conn.execute(known).first()
    if row is None:
        conn.execute(insert(table).values(values))
        row = conn.execute(known).one()
    elif not told.marker and not _is(row, values):
        raise ConflictError(f"{source.name} has a row with this key and other values")
    return Receipt(id=id_of([row._mapping[name] for name in told.key]))


def _is(row: Row[Any], values: Mapping[str, Any]) -> bool:
    had = row._mapping
    return all(id_of([had[name]]) == id_of([value]) for name, value in values.items())


def _values(table: Table, values: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    return {name: _value(_column(table, name), value, zone) for name, value in values.items()}


def _column(table: Table, name: str) -> Column[Any]:
    if name not in table.c:
        raise RejectedError(
            f"{table.name} has no column {name}", hint='Correct "push:" in its mapping.'
        )
    return table.c[name]


def _value(column: Column[Any], value: Any, zone: tzinfo) -> Any:
    """A JSON value as the column takes it."""
    try:
        type_ = column.type.python_type
    except NotImplementedError:
        return value
    if value is None or isinstance(value, type_):
        return value
    try:
        return _as(type_, value, zone, aware=bool(getattr(column.type, "timezone", False)))
    except (ValueError, TypeError, ArithmeticError, LookupError):
        raise RejectedError(
            f"what is written to {column.name} is no {type_.__name__}",
            hint='Correct "push:" in its mapping.',
        ) from None


def _as(type_: type, value: Any, zone: tzinfo, *, aware: bool) -> Any:
    if issubclass(type_, datetime):
        at = instant(value, zone)
        return at if at is None or aware else at.astimezone(zone).replace(tzinfo=None)
    if type_ is date:
        return date.fromisoformat(str(value)[:10])
    if type_ in (int, float, Decimal, UUID):
        return type_(str(plain(value)))
    if type_ is bytes:
        return bytes.fromhex(value)
    return str(plain(value)) if type_ is str else value
