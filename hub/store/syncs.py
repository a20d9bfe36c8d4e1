"""What copies show, what was agreed on, and what was written: the memory behind ``hub.syncs``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from hub.mapping import shared
from hub.models import KINDS, PARTY_KINDS, Level
from hub.store import bulk, leases
from hub.store.schema import (
    agreement,
    binding,
    delivery,
    identifier,
    link,
    mirror,
    outbox_open,
    record,
)
from hub.store.schema import ref as reference
from hub.syncs.decide import Member, Outcome, Values
from hub.syncs.spec import Plan

CUSTOMER = "customer:"
THING = "thing"
"""Key of a value that points to something, whatever it is called in each system."""


@dataclass(frozen=True, slots=True)
class Group:
    """One thing and its copies.

    Attributes:
        subject: ``customer:<id>``, or the record the others are copies of.
        agreed: path → {value, at, by}.
        revision: rises with every decision that calls for writes.
    """

    subject: str
    members: Sequence[Member]
    agreed: Mapping[str, Mapping[str, Any]]
    revision: int

    @property
    def is_customer(self) -> bool:
        """Whether the copies are party records."""
        return self.subject.startswith(CUSTOMER)

    @property
    def streams(self) -> frozenset[str]:
        """Where there is a copy, or was one."""
        return frozenset(m.stream for m in self.members)

    @property
    def values(self) -> dict[str, Any]:
        """Path → value agreed on."""
        return {path: told["value"] for path, told in self.agreed.items()}


class Source(NamedTuple):
    """Where a value comes from that copies are to show alike.

    Attributes:
        ref: the copy whose value was taken.
        streams: where it may be written.
    """

    path: str
    value: Any
    ref: str
    streams: frozenset[str]


def sources(conn: Connection, plan: Plan, names: Iterable[str]) -> list[Source]:
    """Of each value that is agreed on for these things, whose it was."""
    found = []
    for fields, _ in _agreements(conn, plan.id, sorted(names)).values():
        for path, told in fields.items():
            places = frozenset(s for s in plan.streams if path in plan.writable[s])
            found.append(Source(path, told["value"], told["by"], places))
    return found


def subjects(conn: Connection, refs: Iterable[str]) -> dict[str, str]:
    """What each of these records is a copy of: the customer, for a party; else the original."""
    found: dict[str, str] = {}
    for chunk in bulk.chunks(refs):
        rows = conn.execute(
            select(record.c.ref, record.c.kind, link.c.customer_id, mirror.c.subject)
            .outerjoin(link, link.c.ref == record.c.ref)
            .outerjoin(mirror, mirror.c.ref == record.c.ref)
            .where(bulk.among(record.c.ref, chunk))
        )
        for row in rows:
            if row.kind not in PARTY_KINDS:
                found[row.ref] = row.ref
            elif row.customer_id:
                found[row.ref] = f"{CUSTOMER}{row.customer_id}"
            elif row.subject:  # deleted: it belonged there
                found[row.ref] = row.subject
    copies = _originals(conn, [ref for ref, subject in found.items() if subject == ref])
    return found | copies


def _originals(conn: Connection, refs: Sequence[str]) -> dict[str, str]:
    """Copy → what it was made from."""
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in refs:
        connection, stream, id_ = name.split("/", 2)
        by_place[connection, stream].append(id_)
    found: dict[str, str] = {}
    for (connection, stream), ids in by_place.items():
        place = binding.c.connection == connection, binding.c.stream == stream
        for chunk in bulk.chunks(ids):
            query = select(binding.c.external_id, binding.c.subject).where(
                *place, bulk.among(binding.c.external_id, chunk)
            )
            rows = conn.execute(query)
            found.update((f"{connection}/{stream}/{row[0]}", row[1]) for row in rows)
    return found


def lock(conn: Connection, plan: Plan, names: Sequence[str]) -> None:
    """Hold these subjects to the end of the transaction, taken in order: one decides at a time."""
    if conn.dialect.name == "sqlite":
        return  # the transaction holds everything
    rows = [{"subject": n, "sync": plan.id, "fields": "{}", "revision": 0} for n in names]
    bulk.insert_new(conn, agreement, rows)
    for chunk in bulk.chunks(names):
        chosen = select(agreement.c.subject).where(bulk.among(agreement.c.subject, chunk))
        chosen = chosen.where(agreement.c.sync == plan.id).order_by(agreement.c.subject)
        conn.execute(chosen.with_for_update())


def load(conn: Connection, plan: Plan, wanted: Iterable[str]) -> list[Group]:
    """The groups of these subjects, each with its members in order of their names."""
    names = sorted(set(wanted))
    refs = _members(conn, plan, names)
    rows = _records(conn, [ref for found in refs.values() for ref in found])
    things = _things(conn, plan, rows)
    mirrors = _mirrors(conn, plan.id, rows)
    busy = _busy(conn, plan.id, list(rows))
    known = _agreements(conn, plan.id, names)
    groups = []
    for subject in names:
        members = [
            _member(plan, subject, rows[ref], mirrors.get(ref), things, busy)
            for ref in sorted(refs[subject])
            if ref in rows
        ]
        agreed, revision = known.get(subject, ({}, 0))
        groups.append(Group(subject, members, agreed, revision))
    return groups


def _members(conn: Connection, plan: Plan, names: Sequence[str]) -> dict[str, set[str]]:
    """The copies of each subject within the streams of the plan."""
    found: dict[str, set[str]] = {name: set() for name in names}
    ids = [name.removeprefix(CUSTOMER) for name in names if name.startswith(CUSTOMER)]
    others = [name for name in names if not name.startswith(CUSTOMER)]
    for chunk in bulk.chunks(ids):
        rows = conn.execute(
            select(link.c.customer_id, link.c.ref).where(bulk.among(link.c.customer_id, chunk))
        )
        for customer_id, ref in rows:
            found[f"{CUSTOMER}{customer_id}"].add(ref)
    for chunk in bulk.chunks(others):
        columns = binding.c.subject, binding.c.connection, binding.c.stream, binding.c.external_id
        for subject, *place in conn.execute(
            select(*columns).where(bulk.among(binding.c.subject, chunk))
        ):
            found[subject].add("/".join(place))
    for name in others:
        found[name].add(name)
    _add_deleted(conn, plan, found)
    mine = {
        name: {ref for ref in refs if stream_of(ref) in plan.streams}
        for name, refs in found.items()
    }
    claims = _claims(conn, [ref for refs in mine.values() if len(refs) > 1 for ref in refs])
    return {name: refs - claims if refs - claims else refs for name, refs in mine.items()}


def _claims(conn: Connection, refs: Sequence[str]) -> set[str]:
    """Party records all of whose identifiers are claims: a stranger must not change a customer."""
    found: set[str] = set()
    for chunk in bulk.chunks(refs):
        query = select(identifier.c.ref).where(bulk.among(identifier.c.ref, chunk)).distinct()
        sure = set(conn.execute(query.where(identifier.c.level != Level.CLAIMED)).scalars())
        found |= set(conn.execute(query).scalars()) - sure
    return found


def naming(conn: Connection, customers: Iterable[str]) -> set[str]:
    """The records that name a party record of these customers."""
    found: set[str] = set()
    for chunk in bulk.chunks(customers):
        query = select(reference.c.source).join(link, link.c.ref == reference.c.target)
        found.update(conn.execute(query.where(bulk.among(link.c.customer_id, chunk))).scalars())
    return found


def stream_of(ref: str) -> str:
    """The connection/stream of a record."""
    return "/".join(ref.split("/", 2)[:2])


def _add_deleted(conn: Connection, plan: Plan, found: dict[str, set[str]]) -> None:
    """A deleted party has no customer any more; its mirror remembers whose it was."""
    for chunk in bulk.chunks(found):
        rows = conn.execute(
            select(mirror.c.subject, mirror.c.ref)
            .join(record, record.c.ref == mirror.c.ref)
            .where(bulk.among(mirror.c.subject, chunk), mirror.c.sync == plan.id)
            .where(record.c.deleted_at.is_not(None))
        )
        for subject, ref in rows:
            found[subject].add(ref)


def _records(conn: Connection, refs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    columns = record.c.ref, record.c.kind, record.c.document, record.c.saved_at, record.c.deleted_at
    for chunk in bulk.chunks(refs):
        for row in conn.execute(select(*columns).where(bulk.among(record.c.ref, chunk))):
            document = KINDS[row.kind].model_validate_json(row.document).model_dump(mode="json")
            found[row.ref] = {**row._mapping, "document": document}
    return found


def _things(conn: Connection, plan: Plan, rows: Mapping[str, Any]) -> dict[str, str]:
    """What the references among the values point to, by the name they use for it."""
    named = {
        _name(value)
        for row in rows.values()
        for value in shared(plan.paths, row["document"]).values()
        if is_ref(value)
    }
    return subjects(conn, named) if named else {}


def is_ref(value: Any) -> bool:
    """Whether a canonical value is a reference to another record."""
    return isinstance(value, Mapping) and value.keys() == {"connection", "stream", "id"}


def _name(value: Mapping[str, str]) -> str:
    return f"{value['connection']}/{value['stream']}/{value['id']}"


def _mirrors(conn: Connection, sync: str, refs: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for chunk in bulk.chunks(refs):
        query = select(mirror).where(bulk.among(mirror.c.ref, chunk), mirror.c.sync == sync)
        found.update({row["ref"]: row for row in conn.execute(query).mappings()})
    return found


def _busy(conn: Connection, sync: str, refs: Sequence[str]) -> set[str]:
    """Members to which a write is under way."""
    found: set[str] = set()
    for chunk in bulk.chunks(refs):
        query = select(delivery.c.subject).where(
            bulk.among(delivery.c.subject, chunk),
            outbox_open(),  # names the index
            delivery.c.state == "sending",
            delivery.c.sync == sync,
            delivery.c.subject.startswith(delivery.c.connection + "/" + delivery.c.stream + "/"),
        )
        found.update(conn.execute(query).scalars())
    return found


def _agreements(
    conn: Connection, sync: str, names: Sequence[str]
) -> dict[str, tuple[dict[str, Any], int]]:
    found: dict[str, tuple[dict[str, Any], int]] = {}
    for chunk in bulk.chunks(names):
        query = select(agreement.c.subject, agreement.c.fields, agreement.c.revision)
        chosen = query.where(bulk.among(agreement.c.subject, chunk), agreement.c.sync == sync)
        for row in conn.execute(chosen):
            found[row.subject] = orjson.loads(row.fields), row.revision
    return found


def _member(
    plan: Plan, subject: str, row: Any, known: Any, things: Mapping[str, str], busy: set[str]
) -> Member:
    values = _named(shared(plan.paths, row["document"]), things)
    joined = known is None or known["subject"] != subject
    return Member(
        ref=row["ref"],
        stream=stream_of(row["ref"]),
        values=values,
        base=None if joined else orjson.loads(known["base"]),
        written=orjson.loads(known["written"]) if known else {},
        shown=orjson.loads(known["shown"]) if known else {},
        changed=row["saved_at"].timestamp(),
        gone=row["deleted_at"] is not None,
        busy=row["ref"] in busy,
    )


def save(conn: Connection, plan: Plan, group: Group, outcome: Outcome) -> int:
    """Write what was decided on a group; the revision it has now."""
    revision = group.revision + 1 if outcome.news or outcome.writes else group.revision
    kept = {path: told for path, told in group.agreed.items() if path in outcome.agreed}
    if revision != group.revision or kept != group.agreed:
        at = leases.now().isoformat()
        news = {
            path: {"value": outcome.agreed[path], "at": at, "by": ref}
            for path, ref in outcome.news.items()
        }
        row = {
            "subject": group.subject,
            "sync": plan.id,
            "fields": orjson.dumps({**kept, **news}).decode(),
            "revision": revision,
        }
        bulk.upsert(conn, agreement, [row])
    rows = [
        {
            "ref": m.ref,
            "sync": plan.id,
            "subject": group.subject,
            "base": orjson.dumps(outcome.bases.get(m.ref, m.base or {})).decode(),
            "written": orjson.dumps(m.written).decode(),
            "shown": orjson.dumps(m.shown).decode(),
            "gone": m.gone,
        }
        for m in group.members
        if m.ref in outcome.bases or m.gone
    ]
    bulk.upsert(conn, mirror, rows)
    return revision


def note_written(
    conn: Connection,
    plan: Plan,
    subject: str,
    ref: str,
    written: Values,
    shown: Values,
    base: Values,
) -> None:
    """Remember what was just written to a copy, and learn what its vendor made of that.

    Args:
        shown: what the vendor made of it; empty when it did not tell.
        base: what the copy is taken to have shown since.
    """
    known = _mirrors(conn, plan.id, [ref]).get(ref)
    had = {name: orjson.loads(known[name]) if known else {} for name in _MEMORY}
    kept = {path: value for path, value in had["shown"].items() if path not in written}
    now = {
        "base": {**had["base"], **base},
        "written": {**had["written"], **written},
        "shown": {**kept, **shown},
    }
    row = {"ref": ref, "sync": plan.id, "subject": subject}
    row |= {name: orjson.dumps(now[name]).decode() for name in _MEMORY}
    bulk.upsert(conn, mirror, [{**row, "gone": False}])


_MEMORY = ("base", "written", "shown")


def named(conn: Connection, values: Values) -> dict[str, Any]:
    """The values with what references point to in their place."""
    return _named(
        values, subjects(conn, [_name(value) for value in values.values() if is_ref(value)])
    )


def _named(values: Values, things: Mapping[str, str]) -> dict[str, Any]:
    return {
        path: {THING: things.get(_name(value), _name(value))} if is_ref(value) else value
        for path, value in values.items()
    }


def with_refs(conn: Connection, values: Values) -> dict[str, Any]:
    """The values with a reference to each thing in its place; turns ``named`` round."""
    return {
        path: _ref(conn, value[THING]) if _is_thing(value) else value
        for path, value in values.items()
    }


def _is_thing(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {THING}


def _ref(conn: Connection, thing: str) -> dict[str, str] | None:
    if thing.startswith(CUSTOMER):
        mine = select(link.c.ref).where(link.c.customer_id == thing.removeprefix(CUSTOMER))
        name = conn.execute(mine.order_by(link.c.ref).limit(1)).scalar()
        if name is None:
            return None
        thing = name
    connection, stream, id_ = thing.split("/", 2)
    return {"connection": connection, "stream": stream, "id": id_}
