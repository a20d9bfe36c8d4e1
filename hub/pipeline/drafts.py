"""A draft mapping at work on what is stored: the records it cuts, the profiles they would make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from hub.errors import MappingError
from hub.mapping import Mapping as Spec
from hub.mapping import to_canonical
from hub.models import PARTY_KINDS, Record
from hub.profiles.build import Held, Material, build
from hub.profiles.document import Profile, Source
from hub.profiles.tally import day_of
from hub.registry import Hub, Live
from hub.store import leases, profiles, records, shadow
from hub.store.shadow import Moved, Payload, Shadow, Stored

PAGE = 200

Changes = dict[str, tuple[Any, Any]]
"""Field → what it holds now, and what it would hold."""

_HEADERS = ("name", "organization", "title", "tier", "owner", "language")
_FACTS = ("open_requests", "orders", "invoices", "assets", "timeline")


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping as it would be used for a connection."""

    live: Live
    spec: Spec

    @property
    def place(self) -> str:
        """``connection/stream``."""
        return f"{self.live.name}/{self.spec.stream}"

    def cut(self, raw: Any) -> tuple[str, list[Record]]:
        """The name this row would have, and the records it makes.

        Raises:
            MappingError: the draft cannot read it.
        """
        name = f"{self.place}/{self.spec.external_id(raw)}"
        self.spec.raw_version(raw)
        return name, to_canonical(self.spec, raw, connection=self.live.name)

    def cuts(self, rows: Iterable[Payload]) -> dict[str, dict[str, Record]]:
        """The records of those rows it can read, by row and ref."""
        found: dict[str, dict[str, Record]] = {}
        for row in rows:
            try:
                _, cut = self.cut(orjson.loads(row.payload))
            except MappingError:
                continue
            found[row.ref] = {str(r.ref): r for r in cut}
        return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """The fields two documents differ in; unmapped fields are told one by one."""
    found: Changes = {}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if name == "extra":
            inner = differences(was or {}, now or {})
            found |= {f"extra.{key}": pair for key, pair in inner.items()}
        else:
            found[name] = (was, now)
    return found


def moved(
    conn: Connection,
    changed: Mapping[str, Record],
    stored: Mapping[str, Stored],
    parents: Mapping[str, str],
) -> list[Moved]:
    """Facts that would go to another party, because they would refer to other records."""
    wanted = {
        name: [str(ref) for f in r.party_fields if (ref := r.refs().get(f))]
        for name, r in changed.items()
        if r.kind not in PARTY_KINDS and _refers_otherwise(r, stored.get(name))
    }
    party_of = records.parties_of(conn, {name for names in wanted.values() for name in names})
    found = [
        Moved(name, parents[name], next((party_of[n] for n in names if n in party_of), None))
        for name, names in wanted.items()
    ]
    return [m for m in found if m.ref not in stored or stored[m.ref].party != m.party]


def _refers_otherwise(r: Record, stored: Stored | None) -> bool:
    before = orjson.loads(stored.document) if stored else {}
    after = r.model_dump(mode="json", include=set(r.party_fields))
    return any(before.get(name) != after.get(name) for name in r.party_fields)


def profile_changes(hub: Hub, draft: Draft, private: Shadow) -> Iterator[tuple[Profile, Changes]]:
    """The profiles noted as touched that would differ, as they are now, and what would differ."""
    manner, at, after = hub.manner, leases.now(), ""
    while ids := private.touched(after, PAGE):
        with hub.database.read() as conn:
            found = profiles.material(conn, ids, day_of(at))
            held = {id_: material.held for id_, material in found.items()}
            drafted = _material(conn, draft, private, held)
        for id_ in ids:
            pins = found[id_].pins
            now = build(id_, Material(held[id_], pins=pins), manner, at)
            then = build(id_, Material(drafted[id_], pins=pins), manner, at)
            changes = differences(_face(now), _face(then))
            if now and changes:
                yield now, changes
        after = ids[-1]


def _material(
    conn: Connection, draft: Draft, private: Shadow, held: Mapping[str, Sequence[Held]]
) -> dict[str, list[Held]]:
    """What these profiles would be built from under the draft."""
    members = shadow.members(conn, held)
    refs = {h.source.ref for one in held.values() for h in one}
    moves = private.moved(refs, set().union(*members.values()))
    parents = {name: row.parent for name, row in shadow.stored(conn, refs).items()}
    parents |= {m.ref: m.parent for m in moves}
    mine = {parent for parent in parents.values() if parent.startswith(f"{draft.place}/")}
    cuts = draft.cuts(shadow.payloads(conn, mine))
    arriving: dict[str, list[Held]] = defaultdict(list)
    for m in moves:
        if m.party:
            arriving[m.party].append(_arrived(draft, cuts[m.parent][m.ref]))
    left = {m.ref: m.party for m in moves}
    found: dict[str, list[Held]] = {}
    for id_, one in held.items():
        staying = [h for h in one if left.get(h.source.ref, "") in {"", *members[id_]}]
        found[id_] = [h for old in staying if (h := _anew(draft, old, parents, cuts))]
        there = {h.source.ref for h in found[id_]}
        coming = (h for party in members[id_] for h in arriving[party])
        found[id_] += [h for h in coming if h.source.ref not in there]
    return found


def _arrived(draft: Draft, r: Record) -> Held:
    source = Source(
        ref=str(r.ref),
        connection=draft.live.name,
        mapping_version=draft.spec.version,
        seen_at=leases.now(),
    )
    return Held(r, source)


def _anew(
    draft: Draft,
    held: Held,
    parents: Mapping[str, str],
    cuts: Mapping[str, Mapping[str, Record]],
) -> Held | None:
    """A record as the draft cuts it; as it is when the draft has nothing to say about its row."""
    cut = cuts.get(parents.get(held.source.ref, ""))
    if cut is None:
        return held
    r = cut.get(held.source.ref)
    version = {"mapping_version": draft.spec.version}
    return Held(r, held.source.model_copy(update=version)) if r else None


def _face(p: Profile | None) -> dict[str, Any]:
    """What a reader of the profile sees, without where it comes from."""
    if p is None:
        return {}
    values = {name: getattr(p, name) for name in _HEADERS}
    return {
        "kind": p.kind,
        **{name: value.value for name, value in values.items() if value},
        "tags": list(p.tags),
        "contacts": sorted(f"{c.type} {c.value} ({c.level.value})" for c in p.contacts),
        "addresses": [a.model_dump(exclude_defaults=True) for a in p.addresses],
        **{
            name: [f"{fact.summary} {fact.status}".strip() for fact in getattr(p, name)]
            for name in _FACTS
        },
    }
