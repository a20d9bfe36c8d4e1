"""What people look at: profiles, searches, timelines and reasons; SELECTs and nothing else.

A list comes as a ``Page``. Its ``next`` is a ``Mark``: pass it back as ``after`` or ``before`` and
do not look inside. It names the last row seen, so a page costs the same however deep it lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    type_coerce,
    union,
)

from hub.models import KINDS, Level
from hub.models.normalise import search_keys
from hub.profiles.build import Held
from hub.profiles.document import Source
from hub.store import bulk
from hub.store.profiles import FACT_KINDS
from hub.store.schema import (
    EPOCH,
    checkpoint,
    connection,
    customer,
    decision,
    delivery,
    from_us,
    identifier,
    inbox,
    link,
    profile,
    quarantine,
    raw,
    record,
    to_us,
)

T = TypeVar("T")
Mark = tuple[int | str, ...]

MAX_REDIRECTS = 64  # a chain this long is a fault, and a circle must end
MAX_FOUND = 100
NAME_MAX = 100
"""Of a name that is looked for, so many characters count."""
REGION = "CN"  # of a connection that does not say
_BEFORE = "AND occurred_at <= :us AND (occurred_at < :us OR ref > :ref)"  # the first for the index
_SURENESS = {Level.PROVEN: 0, Level.RECORDED: 1, Level.CLAIMED: 2}


# Each part is cut by index before they are joined: a long history costs what a short one costs.
_COLUMNS = "r.ref, r.kind, r.document, r.occurred_at, r.mapping_version, raw.seen_at"
_TIMELINE = {
    "postgresql": f"""
        SELECT {_COLUMNS} FROM link l
        CROSS JOIN unnest(CAST(:kinds AS text[])) k(kind)
        CROSS JOIN LATERAL (
            SELECT * FROM record
            WHERE party = l.ref AND kind = k.kind AND deleted_at IS NULL {{before}}
            ORDER BY occurred_at DESC, ref LIMIT :limit) r
        JOIN raw ON raw.ref = r.parent
        WHERE l.customer_id = :id ORDER BY r.occurred_at DESC, r.ref LIMIT :limit""",
    "sqlite": f"""
        SELECT {_COLUMNS} FROM link l
        CROSS JOIN json_each(:kinds) k
        CROSS JOIN record r ON r.rowid IN (
            SELECT rowid FROM record
            WHERE party = l.ref AND kind = k.value AND deleted_at IS NULL {{before}}
            ORDER BY occurred_at DESC, ref LIMIT :limit)
        CROSS JOIN raw ON raw.ref = r.parent
        WHERE l.customer_id = :id ORDER BY r.occurred_at DESC, r.ref LIMIT :limit""",
}

_RANK = (
    "CASE i.level "
    + " ".join(f"WHEN '{k.value}' THEN {n}" for k, n in _SURENESS.items())
    + (f" ELSE {len(_SURENESS)} END")
)
# The surest holders of each key; a number that thousands share is read once and cut at ``most``.
_FIND_MANY = {
    "postgresql": f"""
        SELECT k.key ->> 0, k.key ->> 1, held.customer_id
        FROM json_array_elements(CAST(:keys AS json)) k(key)
        CROSS JOIN LATERAL (
            SELECT l.customer_id, min({_RANK}) AS rank
            FROM identifier i JOIN link l ON l.ref = i.ref
            WHERE i.type = k.key ->> 0 AND i.value = k.key ->> 1
            GROUP BY l.customer_id ORDER BY rank, l.customer_id LIMIT :most) held
        ORDER BY 1, 2, held.rank, held.customer_id""",
    "sqlite": f"""
        SELECT type, value, customer_id FROM (
            SELECT i.type, i.value, l.customer_id, row_number() OVER (
                PARTITION BY i.type, i.value ORDER BY min({_RANK}), l.customer_id) AS place
            FROM json_each(:keys) k
            CROSS JOIN identifier i ON i.type = json_extract(k.value, '$[0]')
                AND i.value = json_extract(k.value, '$[1]')
            CROSS JOIN link l ON l.ref = i.ref
            GROUP BY i.type, i.value, l.customer_id)
        WHERE place <= :most ORDER BY type, value, place""",
}


class Page(NamedTuple, Generic[T]):
    """Some rows, and where the next page begins (None: there is none)."""

    items: list[T]
    next: Mark | None


class Found(NamedTuple):
    """A profile, under the id it has today."""

    customer_id: str
    document: str


class Listed(NamedTuple):
    """One customer in a list."""

    customer_id: str
    document: str
    built_at: datetime


class Decision(NamedTuple):
    """One line of the log of matches; ``evidence`` is JSON."""

    id: int
    verb: str
    customer_id: str
    other_id: str | None
    a: str | None
    b: str | None
    evidence: str
    actor: str
    at: datetime
    why: str
    weights: str


class Party(NamedTuple):
    """One party record behind a customer; ``document`` is None when only its link is left."""

    ref: str
    document: str | None
    kind: str
    mapping_version: str
    seen_at: datetime | None


class Known(NamedTuple):
    """One identifier a party record carries."""

    ref: str
    type: str
    value: str
    level: str


class Why(NamedTuple):
    """Everything that made a customer out of records, oldest decision first."""

    customer_id: str
    decisions: list[Decision]
    members: list[Party]
    identifiers: list[Known]


class Progress(NamedTuple):
    """How far one stream has been read."""

    stream: str
    rows: int
    due_at: datetime
    advanced_at: datetime | None
    completed_at: datetime | None
    failures: int
    error: str


class Connected(NamedTuple):
    """One connection, without its settings and secrets."""

    name: str
    adapter: str
    state: str
    reason: str
    managed_by: str
    changed_at: datetime
    checked_at: datetime | None
    streams: list[Progress]


class Backlog(NamedTuple):
    """What waits, by state, and what there is."""

    inbox: dict[str, int]
    deliveries: dict[str, int]
    quarantine: int
    customers: int


def current_id(conn: Connection, customer_id: str) -> str | None:
    """The id a customer has today, None when there never was such a customer."""
    hops = _hops(customer_id)
    known = select(hops.c.id).join(customer, customer.c.id == hops.c.id)
    return conn.execute(known.order_by(hops.c.depth.desc()).limit(1)).scalar()


def profile_json(conn: Connection, customer_id: str) -> Found | None:
    """The profile an id, old or current, leads to, and the id it led to."""
    hops = _hops(customer_id)
    last = select(hops.c.id).order_by(hops.c.depth.desc()).limit(1).scalar_subquery()
    found = conn.execute(
        select(profile.c.customer_id, profile.c.document).where(profile.c.customer_id == last)
    ).first()
    return Found(*found) if found else None


def profiles_json(conn: Connection, ids: Iterable[str]) -> dict[str, Found]:
    """The profiles many ids, old or current, lead to, by the id that was asked for."""
    wanted = list(ids)
    hops = _all_hops(wanted)
    onward = select(hops.c.asked, profile.c.customer_id, profile.c.document).join(
        profile, profile.c.customer_id == hops.c.id
    )
    rows = conn.execute(onward) if wanted else ()
    return {row.asked: Found(row.customer_id, row.document) for row in rows}


def find_many(
    conn: Connection, keys: Iterable[tuple[str, str]], most: int
) -> dict[tuple[str, str], list[str]]:
    """As ``find``, for many identifiers at once: at most so many customers for each."""
    wanted = sorted(set(keys))
    found: dict[tuple[str, str], list[str]] = {key: [] for key in wanted}
    values = {"keys": orjson.dumps(wanted).decode(), "most": most}
    rows = conn.execute(text(_FIND_MANY[conn.dialect.name]), values) if wanted else ()
    for type_, value, customer_id in rows:
        found[type_, value].append(customer_id)
    return found


def find(conn: Connection, type_: str, value: str, *others: str) -> list[str]:
    """The customers who carry an identifier, the surest first, at most ``MAX_FOUND``.

    Args:
        type_: such as ``phone``.
        value, others: normalised; others are what it would be in other countries.
    """
    held = _held(type_, [value, *others])
    rows = conn.execute(
        select(held.c.customer_id).order_by(held.c.rank, held.c.customer_id).limit(MAX_FOUND)
    )
    return list(rows.scalars())


def holders(
    conn: Connection,
    type_: str,
    values: Iterable[str],
    limit: int = 20,
    after: Mark | None = None,
) -> Page[Listed]:
    """As ``find``, with their profiles, a page at a time."""
    held = _held(type_, values)
    mark = (held.c.rank, held.c.customer_id)
    known = profile.c.customer_id == held.c.customer_id
    query = select(held.c.customer_id).join(profile, known)
    if after is not None:
        query = query.where(tuple_(*mark) > _same(mark, after))
    return _page(conn, query, mark, limit)


def search(conn: Connection, name: str, limit: int = 20, after: Mark | None = None) -> Page[Listed]:
    """Customers with a name that holds every word of ``name``, in 汉字 or pinyin.

    Names that begin with it come first, then the newest-built customers. What is beyond
    ``NAME_MAX`` does not count: a question of a thousand words is none a database takes.
    """
    spellings = [spelling.split() for spelling in _spellings(name[:NAME_MAX])]
    if not spellings:
        return Page([], None)
    begins = or_(*(_begins(words[0]) for words in spellings))
    mark = (case((begins, 1), else_=0), _us(profile.c.built_at), profile.c.customer_id)
    found = or_(*(_holds(words) for words in spellings))
    return _newest_first(conn, mark, limit, after, where=found)


def customers(conn: Connection, limit: int = 20, after: Mark | None = None) -> Page[Listed]:
    """All customers, the newest-built first."""
    mark = (_us(profile.c.built_at), profile.c.customer_id)
    return _newest_first(conn, mark, limit, after, where=true())


def mark_of(occurred_at: datetime | None, ref: str) -> Mark:
    """The mark that continues a timeline behind this record."""
    return (to_us(occurred_at or EPOCH), ref)


def timeline(
    conn: Connection, customer_id: str, before: Mark | None = None, limit: int = 50
) -> Page[Held]:
    """What happened with a customer, newest first, records of one instant by ref."""
    dialect = conn.dialect.name
    kinds = list(FACT_KINDS) if dialect == "postgresql" else orjson.dumps(FACT_KINDS).decode()
    values = {"id": customer_id, "kinds": kinds, "limit": limit + 1}
    condition = ""
    if before is not None:
        condition = _BEFORE
        values |= {"us": before[0], "ref": before[1]}
    query = text(_TIMELINE[dialect].format(before=condition))
    rows = list(conn.execute(query, values))
    last = rows[limit - 1] if len(rows) > limit else None
    more = (last.occurred_at, last.ref) if last else None
    return Page([_event(row) for row in rows[:limit]], more)


def why(conn: Connection, customer_id: str) -> Why | None:
    """The decisions and records behind a customer, None when there is no such customer."""
    now = current_id(conn, customer_id)
    if now is None:
        return None
    return Why(now, _decisions(conn, now), _members(conn, now), _identifiers(conn, now))


def connections(conn: Connection) -> list[Connected]:
    """Every connection by name, with how far its streams have been read."""
    streams: dict[str, list[Progress]] = {}
    c = checkpoint.c
    rows = conn.execute(
        select(c.connection, c.stream, c.rows, c.due_at, c.advanced_at, c.completed_at)
        .add_columns(c.failures, c.error)
        .order_by(c.connection, c.stream)
    )
    for name, *progress in rows:
        streams.setdefault(name, []).append(Progress(*progress))
    n = connection.c
    columns = (n.name, n.adapter, n.state, n.reason, n.managed_by, n.changed_at, n.checked_at)
    found = conn.execute(select(*columns).order_by(n.name))
    return [Connected(*row, streams=streams.get(row.name, [])) for row in found]


def connection_states(conn: Connection) -> dict[str, str]:
    """The state of every connection, by name."""
    rows = conn.execute(select(connection.c.name, connection.c.state).order_by(connection.c.name))
    return {row.name: row.state for row in rows}


def regions(conn: Connection) -> list[str]:
    """The countries whose phone numbers our connections write without a country code."""
    configs = conn.execute(select(connection.c.config).order_by(connection.c.name)).scalars()
    return list(dict.fromkeys(orjson.loads(c).get("region", REGION) for c in configs)) or [REGION]


def frame_origins(conn: Connection, name: str) -> list[str]:
    """Who may frame a card that is opened for this connection's desk."""
    known = select(connection.c.config).where(connection.c.name == name)
    config = conn.execute(known).scalar()
    return list(orjson.loads(config).get("frame_origins", [])) if config else []


def backlog(conn: Connection) -> Backlog:
    """What waits or has given up; what is done is not counted, for it only grows."""
    waiting = {"received": 0, "retry": 0}
    unsent = {"queued": 0, "retry": 0, "unknown": 0, "dead": 0}
    held = select(func.count()).select_from(quarantine).where(quarantine.c.state == "held")
    return Backlog(
        inbox=waiting | _by_state(conn, inbox.c.state, waiting),
        deliveries=unsent | _by_state(conn, delivery.c.state, unsent),
        quarantine=conn.execute(held).scalar_one(),
        customers=customer_count(conn),
    )


def customer_count(conn: Connection) -> int:
    """How many customers have a profile."""
    return conn.execute(select(func.count()).select_from(profile)).scalar_one()


def _hops(customer_id: str) -> Any:
    """The id itself at depth 0, then each customer it was merged into."""
    hops = select(
        literal(customer_id, customer.c.id.type).label("id"), literal(0).label("depth")
    ).cte("hops", recursive=True)
    onward = (
        select(customer.c.merged_into, hops.c.depth + 1)
        .join(hops, customer.c.id == hops.c.id)
        .where(customer.c.merged_into.is_not(None), hops.c.depth < MAX_REDIRECTS)
    )
    return hops.union_all(onward)


def _all_hops(ids: list[str]) -> Any:
    """As ``_hops`` from each of these ids; merged customers have no profile, so the last has it."""
    start = select(customer.c.id.label("asked"), customer.c.id, literal(0).label("depth"))
    hops = start.where(bulk.among(customer.c.id, ids)).cte("hops", recursive=True)
    onward = (
        select(hops.c.asked, customer.c.merged_into, hops.c.depth + 1)
        .join(hops, customer.c.id == hops.c.id)
        .where(customer.c.merged_into.is_not(None), hops.c.depth < MAX_REDIRECTS)
    )
    return hops.union_all(onward)


def _held(type_: str, values: Iterable[str]) -> Any:
    """Who carries an identifier, each once, with the sureness of the surest record."""
    rank = case(_SURENESS, value=identifier.c.level, else_=len(_SURENESS))
    return (
        select(link.c.customer_id, func.min(rank).label("rank"))
        .join(identifier, identifier.c.ref == link.c.ref)
        .where(identifier.c.type == type_, identifier.c.value.in_(list(values)))
        .group_by(link.c.customer_id)
        .subquery()
    )


def _newest_first(
    conn: Connection,
    mark: tuple[ColumnElement[Any], ...],
    limit: int,
    after: Mark | None,
    *,
    where: ColumnElement[bool],
) -> Page[Listed]:
    query = select(profile.c.customer_id).where(where)
    if after is not None:
        query = query.where(tuple_(*mark) < _same(mark, after))
    return _page(conn, query, mark, limit, newest_first=True)


def _same(columns: Iterable[ColumnElement[Any]], values: Mark) -> Any:
    pairs = zip(columns, values, strict=True)
    return tuple_(*(literal(value, column.type) for column, value in pairs))


def _page(
    conn: Connection,
    query: Select[Any],
    mark: tuple[ColumnElement[Any], ...],
    limit: int,
    *,
    newest_first: bool = False,
) -> Page[Listed]:
    """The first ``limit`` customers of a query for ids, in order of their marks.

    Documents are fetched for these alone: they are long, and a search must not read them all.
    """
    marks = [column.label(f"mark_{n}") for n, column in enumerate(mark)]
    first = query.add_columns(*marks).order_by(*_in_order(marks, newest_first=newest_first))
    chosen, p = first.limit(limit + 1).subquery("chosen"), profile.c
    places = [chosen.c[label.name] for label in marks]
    shown = select(p.customer_id, p.document, p.built_at, *places)
    shown = shown.join(chosen, chosen.c.customer_id == p.customer_id)
    rows = list(conn.execute(shown.order_by(*_in_order(places, newest_first=newest_first))))
    more: Mark | None = tuple(rows[limit - 1][3:]) if len(rows) > limit else None
    return Page([Listed(*row[:3]) for row in rows[:limit]], more)


def _in_order(
    columns: Iterable[ColumnElement[Any]], *, newest_first: bool
) -> list[ColumnElement[Any]]:
    return [column.desc() if newest_first else column.asc() for column in columns]


def _event(row: Any) -> Held:
    source = Source(
        ref=row.ref,
        connection=row.ref.partition("/")[0],
        mapping_version=row.mapping_version,
        seen_at=from_us(row.seen_at),
    )
    return Held(KINDS[row.kind].model_validate_json(row.document), source)


def _spellings(name: str) -> list[str]:
    """How a name may be written in ``profile.search``: as given, and in simplified 汉字."""
    forms = search_keys(name).split("\n")
    return [form for form in forms[:1] if form] + [f for f in forms[1:] if not f.isascii()]


def _begins(word: str) -> ColumnElement[bool]:
    """Whether one of the names, which are written on a line each, begins with the word."""
    first = profile.c.search.startswith(word, autoescape=True)
    return or_(first, profile.c.search.contains("\n" + word, autoescape=True))


def _holds(words: Iterable[str]) -> ColumnElement[bool]:
    return and_(*(profile.c.search.contains(word, autoescape=True) for word in words))


def _decisions(conn: Connection, customer_id: str) -> list[Decision]:
    """Those about the customer and about every customer that was merged into it."""
    d = decision.c
    family = select(literal(customer_id, d.customer_id.type).label("id")).cte(
        "family", recursive=True
    )
    family = family.union(
        select(d.other_id)
        .join(family, d.customer_id == family.c.id)
        .where(d.verb == "merge", d.other_id.is_not(None))
    )
    ids = union(
        select(d.id).where(d.customer_id.in_(select(family.c.id))),
        select(d.id).where(d.other_id == customer_id),
    ).subquery()
    columns = (d.id, d.verb, d.customer_id, d.other_id, d.a, d.b, d.evidence, d.actor, d.at)
    query = select(*columns, d.why, d.weights).where(d.id.in_(select(ids.c.id))).order_by(d.id)
    return [Decision(*row) for row in conn.execute(query)]


def _members(conn: Connection, customer_id: str) -> list[Party]:
    kind = func.coalesce(record.c.kind, "")
    version = func.coalesce(record.c.mapping_version, "")
    seen = func.coalesce(raw.c.seen_at, record.c.saved_at, type_=record.c.saved_at.type)
    query = (
        select(link.c.ref, record.c.document, kind, version, seen)
        .outerjoin(record, record.c.ref == link.c.ref)
        .outerjoin(raw, raw.c.ref == record.c.parent)
        .where(link.c.customer_id == customer_id)
        .order_by(link.c.ref)
    )
    return [Party(*row) for row in conn.execute(query)]


def _identifiers(conn: Connection, customer_id: str) -> list[Known]:
    i = identifier.c
    query = (
        select(i.ref, i.type, i.value, i.level)
        .join(link, link.c.ref == i.ref)
        .where(link.c.customer_id == customer_id)
        .order_by(i.type, i.value, i.ref)
    )
    return [Known(*row) for row in conn.execute(query)]


def _by_state(
    conn: Connection, column: ColumnElement[str], states: Iterable[str]
) -> dict[str, int]:
    query = select(column, func.count()).where(column.in_(list(states))).group_by(column)
    return {row[0]: row[1] for row in conn.execute(query)}


def _us(column: ColumnElement[datetime] | ColumnElement[datetime | None]) -> ColumnElement[int]:
    return type_coerce(column, BigInteger)


def raw_of(conn: Connection, ref: str) -> str | None:
    """The newest payload a record was cut from, as JSON; None when there is none."""
    query = select(raw.c.payload).join(record, record.c.parent == raw.c.ref)
    found: str | None = conn.execute(query.where(record.c.ref == ref)).scalar_one_or_none()
    return found
