"""One table as a stream: pages by key or by (changed, key), ids, and what belongs to a row.

Pages are turned by what was last seen, never by an offset, so that rows which come and go push no
other over an edge. What was seen is kept with its type: a bound value must compare as the stored
one did. Every row carries two values of ours: ``_id``, its key columns as one text, and
``_changed_at``, the instant of its last change ("" when it names none).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    ColumnClause,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    TextClause,
    and_,
    bindparam,
    column,
    func,
    inspect,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.types import NULLTYPE

from adapters.sql.config import Children, Table
from adapters.sql.values import alike, packed, typed, unpacked
from hub.sdk import ConfigError, Raw, id_of, instant, parts_of, plain, zone_of

Selected = Select[*tuple[Any, ...]]

IN_MAX = 500
"""Values of one ``IN``: Oracle takes 1000, SQL Server 2100 in all."""


class Source:
    """One table, view or query."""

    def __init__(self, name: str, told: Table, zone: str, dialect: str) -> None:
        self.name, self.told = name, told
        self._zone, self._dialect = told.zone or zone, dialect
        self._sample: Any = None
        self._nullable: bool | None = None

    @cached_property
    def _from(self) -> FromClause:
        named: list[ColumnClause[Any]] = [
            column(name) for name in (*self.told.key, *self.told.modified)
        ]
        if self.told.query:
            return _sql(self.told.query).columns(*named).subquery("q")
        return table(self.told.table, *named, schema=self.told.schema_ or None)

    @property
    def key(self) -> list[ColumnElement[Any]]:
        return [self._from.c[name] for name in self.told.key]

    @property
    def stamp(self) -> ColumnElement[Any]:
        """When a row was last changed."""
        found = [self._from.c[name] for name in self.told.modified]
        return found[0] if len(found) == 1 else func.coalesce(*found)

    def _selected(self) -> Selected:
        if not self.told.columns:
            return self._where(select(literal_column("*")).select_from(self._from))
        needed = dict.fromkeys((*self.told.key, *self.told.modified, *self.told.columns))
        children = [told.parent for told in self.told.children.values()]
        needed |= dict.fromkeys(children)
        return self._where(select(*map(column, needed)).select_from(self._from))

    def _where(self, query: Selected) -> Selected:
        return query.where(_sql(f"({self.told.where})")) if self.told.where else query

    # Pages

    def changed(
        self, conn: Connection, since: datetime | None, position: str, size: int
    ) -> tuple[list[Raw], str | None]:
        """Rows changed since then, oldest change first; those without a change before all others.

        Nobody can tell which of the latter are new, so that all of them come each time.
        """
        if not self.told.modified:
            return self.all(conn, position, size)
        at = unpacked(position) if position else [None]
        unchanged: list[Raw] = []
        if at[0] is None:
            unchanged, onward = self._never_changed(conn, at[1:], size)
            if onward:
                return unchanged, onward
            at = []
        query = self._selected().order_by(self.stamp, *self.key)
        if at:
            query = query.where(self._after([self.stamp, *self.key], at))
        elif since is not None and (bound := self._bound(conn, since)) is not None:
            query = query.where(self.stamp >= self._value(bound))
        else:
            query = query.where(self.stamp.is_not(None))
        found = self._read(conn, query, size - len(unchanged))
        full = len(found) == size - len(unchanged)
        last = packed([self._stamp_of(found[-1]), *self._key_of(found[-1])]) if full else None
        return [*unchanged, *self._page(conn, found)], last

    def _never_changed(
        self, conn: Connection, seen: Sequence[Any], size: int
    ) -> tuple[list[Raw], str | None]:
        if not self._may_be_null(conn):
            return [], None
        query = self._selected().where(self.stamp.is_(None)).order_by(*self.key)
        query = query.where(self._after(self.key, seen)) if seen else query
        found = self._read(conn, query, size)
        onward = packed([None, *self._key_of(found[-1])]) if len(found) == size else None
        return self._page(conn, found), onward

    def _may_be_null(self, conn: Connection) -> bool:
        """Whether a row may name no change; to look for such costs a scan where no index helps."""
        if self._nullable is None:
            told = self.told
            found = (
                {}
                if told.query
                else {
                    one["name"]: one["nullable"]
                    for one in inspect(conn).get_columns(told.table, told.schema_ or None)
                }
            )
            self._nullable = all(found.get(name, True) for name in told.modified)
        return self._nullable

    def all(self, conn: Connection, position: str, size: int) -> tuple[list[Raw], str | None]:
        """Every row in the order of the key."""
        query = self._selected().order_by(*self.key)
        if position:
            query = query.where(self._after(self.key, unpacked(position)))
        found = self._read(conn, query, size)
        onward = packed(self._key_of(found[-1])) if len(found) == size else None
        return self._page(conn, found), onward

    def ids(
        self, conn: Connection, position: str, size: int
    ) -> tuple[list[tuple[str, str]], str | None]:
        """Ids and versions of what exists, in the order of the key."""
        stamp = [self.stamp.label("changed")] if self.told.modified else []
        query = self._where(select(*self.key, *stamp).order_by(*self.key))
        if position:
            query = query.where(self._after(self.key, unpacked(position)))
        rows = [tuple(row) for row in conn.execute(query.limit(size))]
        count = len(self.told.key)
        found = [(id_of(row[:count]), self._instant(row[-1]) if stamp else "") for row in rows]
        found = [one for one in found if one[0]]
        return found, packed(rows[-1][:count]) if len(rows) == size else None

    def one(self, conn: Connection, id_: str) -> Raw | None:
        """The row of an id."""
        values = self.values_of(conn, id_)
        if values is None:
            return None
        same = [c == self._value(v) for c, v in zip(self.key, values, strict=True)]
        found = self._read(conn, self._selected().where(*same), 1)
        return next(iter(self._page(conn, found)), None)

    def newest(self, conn: Connection) -> datetime | None:
        """When any row was last changed; None when nobody can tell."""
        if not self.told.modified:
            return None
        told = self._instant(conn.execute(self._where(select(func.max(self.stamp)))).scalar())
        return datetime.fromisoformat(told) if told else None

    def version_of(self, row: Mapping[str, Any]) -> str:
        """The instant of its last change; "" when it names none."""
        return self._instant(self._stamp_of(row)) if self.told.modified else ""

    def having(self, conn: Connection, values: Mapping[str, Any], size: int) -> list[Raw]:
        """Rows in which one of these columns has this value."""
        single = {n: v for n, v in values.items() if isinstance(v, str | int | Decimal) and v != ""}
        if not single:
            return []
        same = [column(name) == self._value(value) for name, value in single.items()]
        return self._page(conn, self._read(conn, self._selected().where(or_(*same)), size))

    # Rows

    def _read(self, conn: Connection, query: Selected, size: int) -> list[Mapping[str, Any]]:
        if size == 0:
            return []
        return [dict(row) for row in conn.execute(query.limit(size)).mappings()]

    def _page(self, conn: Connection, found: Sequence[Mapping[str, Any]]) -> list[Raw]:
        rows = [self._row(one) for one in found]
        ids = [row["_id"] for row in rows if row["_id"]]
        if len(set(ids)) != len(ids):
            raise ConfigError(
                f"several rows of {self.name} have the same key",
                hint=f"Rows would be lost: {', '.join(self.told.key)} must name one row alone.",
            )
        for name, told in self.told.children.items():
            self._add(conn, name, told, found, rows)
        return rows

    def _row(self, found: Mapping[str, Any]) -> Raw:
        ours = {"_id": id_of(self._key_of(found))}
        if self.told.modified:
            ours["_changed_at"] = self.version_of(found)
        return {**{name: plain(value) for name, value in found.items()}, **ours}

    def _add(
        self,
        conn: Connection,
        name: str,
        told: Children,
        found: Sequence[Mapping[str, Any]],
        rows: Sequence[Raw],
    ) -> None:
        """Give each row its children; a few queries for a whole page."""
        theirs = table(told.table, schema=told.schema_ or None)
        link: ColumnClause[Any] = column(told.column)
        wanted: list[ColumnClause[Any]] = [
            column(c) for c in dict.fromkeys((told.column, *told.columns))
        ]
        query = select(*(wanted if told.columns else [literal_column("*")])).select_from(theirs)
        query = query.order_by(link, *map(column, told.order))
        parents = [one[told.parent] for one in found if one[told.parent] is not None]
        of: dict[str, list[Raw]] = {}
        for at in range(0, len(parents), IN_MAX):
            some = [self._value(value) for value in parents[at : at + IN_MAX]]
            for child in conn.execute(query.where(link.in_(some))).mappings():
                raw = {str(key): plain(value) for key, value in child.items()}
                of.setdefault(id_of([child[told.column]]), []).append(raw)
        for one, row in zip(found, rows, strict=True):
            row[name] = of.get(id_of([one[told.parent]]), [])

    def _key_of(self, row: Mapping[str, Any]) -> list[Any]:
        try:
            return [row[name] for name in self.told.key]
        except KeyError as missing:
            raise self._no_column(missing) from None

    def _stamp_of(self, row: Mapping[str, Any]) -> Any:
        try:
            found = [row[name] for name in self.told.modified]
        except KeyError as missing:
            raise self._no_column(missing) from None
        return next((value for value in found if value is not None), None)

    def _no_column(self, missing: KeyError) -> ConfigError:
        name = missing.args[0]
        return ConfigError(
            f"{self.name} has no column {name}", hint="Write it as the database does."
        )

    def _instant(self, stamp: Any) -> str:
        """The instant as text that sorts; "" for none, and for what is no instant."""
        try:
            found = instant(stamp, self.zone) if stamp is not None else None
        except (ValueError, TypeError, ArithmeticError, LookupError):
            return ""
        return f"{found:%Y-%m-%dT%H:%M:%S.%fZ}" if found else ""

    # Values

    @property
    def zone(self) -> tzinfo:
        return zone_of(self._zone or "UTC")

    def _value(self, value: Any) -> ColumnElement[Any]:
        """A bound value whose type nobody guesses: the database knows that of its column."""
        is_time = isinstance(value, datetime) and self._dialect == "oracle"
        return bindparam(None, value, unique=True, type_=TIMESTAMP() if is_time else NULLTYPE)

    def _after(
        self, columns: Sequence[ColumnElement[Any]], seen: Sequence[Any]
    ) -> ColumnElement[bool]:
        """Behind these values in the order of the columns; written out, as not all know tuples."""
        alternatives = []
        for i, one in enumerate(columns):
            same = [c == self._value(v) for c, v in zip(columns[:i], seen[:i], strict=True)]
            alternatives.append(and_(*same, one > self._value(seen[i])))
        return and_(columns[0] >= self._value(seen[0]), or_(*alternatives))

    def _bound(self, conn: Connection, since: datetime) -> Any:
        """An instant as the column has them; None when there is none to learn it from."""
        if self._sample is None:
            query = self._where(select(self.stamp).where(self.stamp.is_not(None))).limit(1)
            self._sample = conn.execute(query).scalar()
        return None if self._sample is None else alike(self._sample, since, self._own_zone)

    def _own_zone(self) -> tzinfo:
        if not self._zone:
            raise ConfigError(
                f"the times of {self.name} name no time zone",
                hint='Say which one they are in, such as zone = "Asia/Shanghai".',
            )
        return self.zone

    def values_of(self, conn: Connection, id_: str) -> list[Any] | None:
        """The values of the key columns; None when no row can have such."""
        query = self._where(select(*self.key)).limit(1)
        sample = conn.execute(query).one_or_none()
        if sample is None:
            return None
        try:
            texts = parts_of(id_, len(self.told.key))
            return [typed(value, text) for value, text in zip(sample, texts, strict=True)]
        except (ValueError, ArithmeticError):
            return None


def _sql(written: str) -> TextClause:
    """What an administrator wrote, as it is: no name in it is a parameter."""
    return text(written.replace(":", "\\:"))
